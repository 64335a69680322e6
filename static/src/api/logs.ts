// SPDX-License-Identifier: MIT
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client, unwrap } from './client'
import type { paths } from './schema'

export type LogQuery = NonNullable<paths['/api/logs']['get']['parameters']['query']>
export type LogFilters = Omit<LogQuery, 'page' | 'page_size' | 'after' | 'with_bodies'>

/** A page of rows. Their bodies may be large, and are fetched one by one. */
export function fetchLogs(query: LogQuery, signal?: AbortSignal) {
  return unwrap(
    client.GET('/api/logs', { params: { query: { ...query, with_bodies: 'false' } }, signal }),
  )
}

export function useLogs(
  filters: Ref<LogQuery>,
  live: Ref<boolean>,
) {
  return useQuery({
    queryKey: computed(() => ['logs', filters.value]),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: computed(() => (live.value ? 2_000 : false)),
    queryFn: ({ signal }) => fetchLogs(filters.value, signal),
  })
}

/** Every try of one request, the first one first. */
export function useTrail(requestId: Ref<string>) {
  return useQuery({
    queryKey: ['trail', requestId],
    enabled: computed(() => requestId.value !== ''),
    queryFn: async ({ signal }) => {
      const page = await fetchLogs({ request_id: requestId.value, page_size: 100 }, signal)
      return page.items.sort((a, b) => a.attempt - b.attempt)
    },
  })
}

export function useLogRow(id: Ref<string>) {
  return useQuery({
    queryKey: ['log', id],
    enabled: computed(() => id.value !== ''),
    queryFn: ({ signal }) =>
      unwrap(
        client.GET('/api/logs/{uuid}', { params: { path: { uuid: id.value } }, signal }),
      ),
  })
}

/** The latest rows of a key. */
export function useKeyAttempts(hash: Ref<string>) {
  return useQuery({
    queryKey: ['key-attempts', hash],
    enabled: computed(() => hash.value !== ''),
    queryFn: async ({ signal }) =>
      (await fetchLogs({ key_hash: hash.value, page_size: 10 }, signal)).items,
  })
}
