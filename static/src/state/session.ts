// SPDX-License-Identifier: MIT
// The key that was signed in with: kept for the tab's life, never in an address.
import { computed, ref } from 'vue'

const STORE = 'gpt-load-key'
const key = ref(sessionStorage.getItem(STORE) ?? '')

export const authKey = computed(() => key.value)
export const signedIn = computed(() => key.value !== '')

export function signIn(value: string) {
  key.value = value
  sessionStorage.setItem(STORE, value)
}

export function signOut() {
  key.value = ''
  sessionStorage.removeItem(STORE)
}
