// SPDX-License-Identifier: MIT
// Whether the server answers. Every call reports here; while it does not, the page
// asks again by itself and then loads what it shows anew.
import { ref } from 'vue'

export type Connection = 'up' | 'slow' | 'down'
export const connection = ref<Connection>('up')
/** What the server said was wrong, when it could say so. */
export const downReason = ref('')

const PROBE_MS = 2000
const SLOW_MS = 4000

let probe: (() => Promise<boolean>) | null = null
const recovered = new Set<() => void>()
let timer: ReturnType<typeof setTimeout> | null = null
let waiting = 0

export function startConnection(ask: () => Promise<boolean>, then: () => void) {
  probe = ask
  recovered.add(then)
}

/** Called as often as the server comes back. */
export function onRecovery(then: () => void) {
  recovered.add(then)
}

async function askAgain() {
  timer = null
  if (probe && (await probe().catch(() => false))) {
    connection.value = 'up'
    downReason.value = ''
    for (const then of recovered) then()
  } else if (connection.value === 'down') {
    timer = setTimeout(askAgain, PROBE_MS)
  }
}

export function reportDown(reason: string) {
  connection.value = 'down'
  downReason.value = reason
  timer ??= setTimeout(askAgain, PROBE_MS)
}

/** Called as a call begins; what it returns, as it ends. */
export function watchCall(): (answered: boolean) => void {
  const slow = setTimeout(() => {
    waiting++
    counted = true
    if (connection.value === 'up') connection.value = 'slow'
  }, SLOW_MS)
  let counted = false
  return (answered) => {
    clearTimeout(slow)
    if (counted) waiting--
    if (answered && connection.value === 'slow' && waiting === 0) connection.value = 'up'
  }
}
