// SPDX-License-Identifier: MIT
// The key that was signed in with: kept for the tab's life, never in an address, and
// forgotten when nobody has used the page for a while.
import { computed, ref } from 'vue'
import { idleMinutes } from '@/lib/idle'

const STORE = 'gpt-load-key'
const IDLE_STORE = 'gpt-load-idle-minutes'
const key = ref(sessionStorage.getItem(STORE) ?? '')

export const authKey = computed(() => key.value)
export const signedIn = computed(() => key.value !== '')

/** After how many minutes without use one is signed out; 0: never. */
export const idleLimit = ref(idleMinutes(localStorage.getItem(IDLE_STORE)))
/** That was why one was. */
export const wasIdle = ref(false)

export function setIdleLimit(minutes: number) {
  idleLimit.value = minutes
  localStorage.setItem(IDLE_STORE, String(minutes))
}

export function signIn(value: string) {
  key.value = value
  wasIdle.value = false
  sessionStorage.setItem(STORE, value)
}

export function signOut(idle = false) {
  key.value = ''
  wasIdle.value = idle
  sessionStorage.removeItem(STORE)
}
