// SPDX-License-Identifier: MIT
// The typed client of the management API. Types come from the OpenAPI file; what is
// the same for every call is here: the key, the language, the envelope, the errors.
import createClient from 'openapi-fetch'
import { locale } from '@/i18n'
import { ORIGIN } from '@/lib/base'
import { reportDown, watchCall } from '@/state/connection'
import { authKey, signOut } from '@/state/session'
import type { paths } from './schema'

const TIMEOUT_MS = 60_000

/** The server refused, or could not be reached (status 0). */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  /** Seconds after which another try makes sense; 0: not said. */
  readonly retryAfter: number
  constructor(status: number, code: string, message: string, retryAfter = 0) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfter = retryAfter
  }
  /** The same call may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status >= 500
  }
}

async function send(request: Request): Promise<Response> {
  const done = watchCall()
  const limit = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const response = await fetch(request, { signal: AbortSignal.any([request.signal, limit]) })
    done(true)
    return response
  } catch (error) {
    done(false)
    if (request.signal.aborted) throw error
    reportDown('')
    throw new ApiError(0, limit.aborted ? 'TIMEOUT' : 'UNREACHABLE', '')
  }
}

export const client = createClient<paths>({ baseUrl: ORIGIN, fetch: send })

client.use({
  onRequest({ request }) {
    if (authKey.value && !request.headers.has('Authorization'))
      request.headers.set('Authorization', `Bearer ${authKey.value}`)
    request.headers.set('Accept-Language', locale.value)
    // Keys reach the page in clear only when they are asked for, one by one.
    request.headers.set('X-Mask-Keys', 'true')
  },
})

function failure(response: Response, body: unknown): ApiError {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown }
  const error = new ApiError(
    response.status,
    typeof code === 'string' ? code : `HTTP_${response.status}`,
    typeof message === 'string' ? message : '',
    Number(response.headers.get('Retry-After')) || 0,
  )
  if (error.status === 401) signOut()
  if (error.status >= 502 || error.status === 503 || error.code === 'DATABASE_ERROR')
    reportDown(error.message)
  return error
}

type Answer<T> = { data?: T; error?: unknown; response: Response }
type DataOf<T> = T extends { data: infer D } ? D : undefined

/** The envelope's `data`, or an ApiError. */
export async function unwrap<T>(call: Promise<Answer<T>>): Promise<DataOf<T>> {
  const { data, error, response } = await call
  if (!response.ok) throw failure(response, error)
  return (data as { data?: unknown } | undefined)?.data as DataOf<T>
}

/** A download, or an ApiError. */
export async function file(call: Promise<Answer<Blob>>): Promise<Blob> {
  const { data, error, response } = await call
  if (!response.ok || !data) throw failure(response, error)
  return data
}
