// SPDX-License-Identifier: MIT
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client, unwrap } from './client'

export interface LogFilters {
  group_name?: string
  parent_group_name?: string
  model?: string
  error_contains?: string
  key_value?: string
  key_hash?: string
  is_success?: 'true' | 'false'
  request_type?: 'retry' | 'final'
  status_class?: '2xx' | '3xx' | '4xx' | '5xx' | 'other'
  status_code?: number
  source_ip?: string
  request_id?: string
  start_time?: string
  end_time?: string
}

export function useLogs(
  filters: Ref<LogFilters & { page: number; page_size: number }>,
  live: Ref<boolean>,
) {
  return useQuery({
    queryKey: computed(() => ['logs', filters.value]),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: computed(() => (live.value ? 2_000 : false)),
    queryFn: ({ signal }) =>
      unwrap(client.GET('/api/logs', { params: { query: filters.value }, signal })),
  })
}

/** Every try of one request, the first one first. */
export function useTrail(requestId: Ref<string>) {
  return useQuery({
    queryKey: ['trail', requestId],
    enabled: computed(() => requestId.value !== ''),
    queryFn: async ({ signal }) => {
      const query = { request_id: requestId.value, page: 1, page_size: 100 }
      const page = await unwrap(client.GET('/api/logs', { params: { query }, signal }))
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
    queryFn: async ({ signal }) => {
      const query = { key_hash: hash.value, page: 1, page_size: 10 }
      return (await unwrap(client.GET('/api/logs', { params: { query }, signal })))
        .items
    },
  })
}

export function fetchLogs(query: LogFilters & { page: number; page_size: number }) {
  return unwrap(client.GET('/api/logs', { params: { query } }))
}

/** What is known of the rows beyond a page. */
export interface LogPagination {
  total_items: number
  total_pages: number
  /** total_items is where counting ended. */
  total_capped?: boolean
  /** The search ended before it had looked at everything. */
  stopped?: boolean
  /** The row after which the next page begins; null: there is none. */
  next?: string | null
}
