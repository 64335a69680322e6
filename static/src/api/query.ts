// SPDX-License-Identifier: MIT
// How the page keeps what the server said.
import { QueryClient } from '@tanstack/vue-query'
import { startConnection } from '@/state/connection'
import { ApiError, client } from './client'

const TRIES = 2

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      gcTime: 60_000,
      networkMode: 'always',
      retry: (count, error) => count < TRIES && error instanceof ApiError && error.passing,
      retryDelay: (count) => 500 * 2 ** count,
    },
    mutations: { networkMode: 'always' },
  },
})

/** Needs no key: one may have been signed out meanwhile. */
async function probe(): Promise<boolean> {
  const { data, error } = await client.GET('/health')
  const health = data ?? error
  return health !== undefined && 'database' in health && health.database
}

export function startQueries() {
  startConnection(probe, () => void queryClient.invalidateQueries())
}
