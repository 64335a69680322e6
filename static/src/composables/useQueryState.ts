// SPDX-License-Identifier: MIT
// What a view shows, kept in its address: a link to it shows the same, and Back works.
import { useRoute, useRouter, type LocationQueryRaw } from 'vue-router'

export function useQueryState() {
  const route = useRoute()
  const router = useRouter()

  function get(name: string): string {
    const value = route.query[name]
    return typeof value === 'string' ? value : ''
  }

  /** Empty values leave the address. A step that Back should undo is a push. */
  function set(values: Record<string, string | number | undefined>, how: 'push' | 'replace' = 'push') {
    const query: LocationQueryRaw = { ...route.query }
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || value === '') delete query[name]
      else query[name] = String(value)
    }
    return router[how]({ query })
  }

  return { get, set }
}
