// SPDX-License-Identifier: MIT
// Light, dark, or what the system says, followed while it changes.
import { computed, ref, watchEffect } from 'vue'

export type Theme = 'system' | 'light' | 'dark'
export const THEMES: Theme[] = ['system', 'light', 'dark']

const STORE = 'gpt-load-theme'
const stored = localStorage.getItem(STORE) as Theme | null
export const theme = ref<Theme>(stored && THEMES.includes(stored) ? stored : 'system')

const media = matchMedia('(prefers-color-scheme: dark)')
const systemDark = ref(media.matches)
media.addEventListener('change', (event) => (systemDark.value = event.matches))

export const isDark = computed(() =>
  theme.value === 'system' ? systemDark.value : theme.value === 'dark',
)

export function startTheme() {
  watchEffect(() => {
    document.documentElement.classList.toggle('dark', isDark.value)
    localStorage.setItem(STORE, theme.value)
  })
}
