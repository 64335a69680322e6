// SPDX-License-Identifier: MIT
import { ApiError } from '@/api/client'
import { t } from '@/i18n'
import { toast } from '@/state/toasts'

/** What went wrong, as a person can act on it. */
export function errorText(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 0) return t(error.code === 'TIMEOUT' ? 'error.timeout' : 'error.away')
    const wait = error.retryAfter > 0 ? ' ' + t('error.retryAfter', { n: error.retryAfter }) : ''
    return (error.message || t('error.status', { status: String(error.status) })) + wait
  }
  return error instanceof Error ? error.message : String(error)
}

/** Runs a change; a failure becomes a toast. What was done, or undefined. */
export async function attempt<T>(work: () => Promise<T>, done?: string): Promise<T | undefined> {
  try {
    const result = await work()
    if (done) toast.good(done)
    return result
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) toast.bad(errorText(error))
    return undefined
  }
}
