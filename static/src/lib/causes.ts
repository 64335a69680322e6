// SPDX-License-Identifier: MIT
// Causes of failed key tests.
import type { FailureCause } from '@/api/types'

/** What differs from one failure to the next without saying anything. */
function normal(text: string): string {
  return text
    .replace(/\b(req|request)[_-][\w-]{6,}/gi, '$1_…')
    .replace(/\bsk-[\w*.-]{4,}/g, 'sk-…')
    .trim()
    .slice(0, 160)
}

/** How often each cause came up, most frequent first: of a few tests, which the page itself
 * has; those of a whole group are counted by the server. */
export function causesOf(texts: string[]): FailureCause[] {
  const counts = new Map<string, number>()
  for (const text of texts) {
    const cause = normal(text)
    counts.set(cause, (counts.get(cause) ?? 0) + 1)
  }
  return [...counts]
    .map(([error, count]) => ({ error, count }))
    .sort((a, b) => b.count - a.count)
}

/** The failures of a cause as a filter of the logs. */
export function failuresFilter(one: { status_code: number; error: string }): Record<string, string> {
  const telling = tellingPart(one.error)
  return {
    is_success: 'false',
    request_type: 'final',
    status_code: String(one.status_code),
    ...(telling && { error_contains: telling }),
  }
}

/** The longest part of a cause that stands so in every one of its failures. */
export function tellingPart(error: string): string {
  const parts = error.split(/…|\[redacted\]/).map((one) => one.trim())
  return parts.reduce((longest, one) => (one.length > longest.length ? one : longest), '')
}
