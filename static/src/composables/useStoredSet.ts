// SPDX-License-Identifier: MIT
// A set of words that this browser keeps.
import { ref, watch, type Ref } from 'vue'

function read(name: string): string[] | null {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(name) ?? 'null')
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : null
  } catch {
    return null
  }
}

export function useStoredSet(name: string, first: string[]): Ref<Set<string>> {
  const words = ref(new Set(read(name) ?? first))
  watch(words, (now) => localStorage.setItem(name, JSON.stringify([...now])))
  return words
}
