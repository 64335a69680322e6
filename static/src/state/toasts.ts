// SPDX-License-Identifier: MIT
// Short messages about what the user cannot see already.
import { ref } from 'vue'

export interface Toast {
  id: number
  kind: 'good' | 'bad'
  text: string
}

const SHOWN_MS = 6000
let last = 0
export const toasts = ref<Toast[]>([])

export function closeToast(id: number) {
  toasts.value = toasts.value.filter((one) => one.id !== id)
}

function show(kind: Toast['kind'], text: string) {
  const id = ++last
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }]
  // A failure stays until it is read.
  if (kind === 'good') setTimeout(() => closeToast(id), SHOWN_MS)
}

export const toast = {
  good: (text: string) => show('good', text),
  bad: (text: string) => show('bad', text),
}
