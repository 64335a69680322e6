// SPDX-License-Identifier: MIT
// How often each cause came up, most frequent first.

export interface Cause {
  text: string
  n: number
}

const MAX = 12

/** What differs from one failure to the next without saying anything. */
function normal(text: string): string {
  return text
    .replace(/\b(req|request)[_-][\w-]{6,}/gi, '$1_…')
    .replace(/\bsk-[\w*.-]{4,}/g, 'sk-…')
    .trim()
    .slice(0, 160)
}

export function histogram(texts: string[]): Cause[] {
  const counts = new Map<string, number>()
  for (const text of texts) {
    const cause = normal(text) || '–'
    counts.set(cause, (counts.get(cause) ?? 0) + 1)
  }
  return [...counts]
    .map(([text, n]) => ({ text, n }))
    .sort((a, b) => b.n - a.n)
    .slice(0, MAX)
}
