// SPDX-License-Identifier: MIT
import { useQuery } from '@tanstack/vue-query'
import { signOut } from '@/state/session'
import { ApiError, client, unwrap } from './client'
import { queryClient } from './query'

/** Throws an ApiError when the key is not the right one, or after too many tries. */
export async function checkKey(key: string): Promise<void> {
  const { response, error } = await client.POST('/api/auth/login', { body: { auth_key: key } })
  if (response.ok) return
  const message = (error as { message?: string } | undefined)?.message ?? ''
  throw new ApiError(
    response.status,
    'LOGIN',
    message,
    Number(response.headers.get('Retry-After')) || 0,
  )
}

export function useVersion() {
  return useQuery({
    queryKey: ['version'],
    staleTime: Infinity,
    queryFn: ({ signal }) => unwrap(client.GET('/api/version', { signal })),
  })
}

/** Forgets the key, and what was read with it. */
export function leave(idle = false) {
  queryClient.clear()
  signOut(idle)
}
