// SPDX-License-Identifier: MIT
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { locale } from '@/i18n'
import type { Range } from '@/lib/ranges'
import { client, unwrap } from './client'

const LIVE_MS = 5_000

export function useSummary(range: Ref<Range>, groupId: Ref<number>, live: Ref<boolean>) {
  return useQuery({
    queryKey: ['summary', range, groupId],
    placeholderData: keepPreviousData,
    refetchInterval: computed(() => (live.value ? LIVE_MS : false)),
    queryFn: ({ signal }) => {
      const query = { range: range.value, ...(groupId.value > 0 && { group_id: groupId.value }) }
      return unwrap(client.GET('/api/dashboard/summary', { params: { query }, signal }))
    },
  })
}

/** Why requests failed; counted anew less often than they are summed. */
export function useTopErrors(range: Ref<Range>, groupId: Ref<number>, live: Ref<boolean>) {
  return useQuery({
    queryKey: ['top-errors', range, groupId],
    placeholderData: keepPreviousData,
    refetchInterval: computed(() => (live.value ? 3 * LIVE_MS : false)),
    queryFn: ({ signal }) => {
      const query = { range: range.value, ...(groupId.value > 0 && { group_id: groupId.value }) }
      return unwrap(client.GET('/api/dashboard/errors', { params: { query }, signal }))
    },
  })
}

/** Key counts and warnings; their texts are the server's, in its language. */
export function useDashboardStats(live: Ref<boolean>) {
  return useQuery({
    queryKey: ['dashboard-stats', locale],
    refetchInterval: computed(() => (live.value ? LIVE_MS : false)),
    queryFn: ({ signal }) => unwrap(client.GET('/api/dashboard/stats', { signal })),
  })
}

export function useEncryptionStatus() {
  return useQuery({
    queryKey: ['encryption-status', locale],
    staleTime: 60_000,
    queryFn: ({ signal }) => unwrap(client.GET('/api/dashboard/encryption-status', { signal })),
  })
}
