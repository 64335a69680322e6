// SPDX-License-Identifier: MIT
import { onBeforeUnmount, ref } from 'vue'

export function useMedia(query: string) {
  const media = matchMedia(query)
  const matches = ref(media.matches)
  const follow = (event: MediaQueryListEvent) => (matches.value = event.matches)
  media.addEventListener('change', follow)
  onBeforeUnmount(() => media.removeEventListener('change', follow))
  return matches
}

/** Where tables leave columns out, and where they have room for all. */
export const useIsNarrow = () => useMedia('(max-width: 699px)')
export const useIsRoomy = () => useMedia('(min-width: 1500px)')

/** Room for a list beside what is chosen in it. */
export const useIsWide = () => useMedia('(min-width: 900px)')
