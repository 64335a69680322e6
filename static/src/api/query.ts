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

async function probe(): Promise<boolean> {
  const { response } = await client.GET('/api/version')
  return response.status < 500
}

export function startQueries() {
  startConnection(probe, () => void queryClient.invalidateQueries())
}
