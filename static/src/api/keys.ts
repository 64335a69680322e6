// SPDX-License-Identifier: MIT
import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client, file, unwrap } from './client'
import { queryClient } from './query'
import type { BulkAction, KeyStatus, KeyTest } from './types'

export type KeySort = 'last_used' | 'added' | 'requests' | 'failures'

export interface KeyFilters {
  group_id: number
  status?: KeyStatus
  key_value?: string
  key_hash?: string
  contains?: string
  /** Not used for so many days, or "never". */
  idle?: string
  sort?: KeySort
  order?: 'asc' | 'desc'
  page: number
  page_size: number
}

export function fetchKeys(query: KeyFilters, signal?: AbortSignal) {
  return unwrap(client.GET('/api/keys', { params: { query }, signal }))
}

export function useKeys(filters: Ref<KeyFilters>) {
  return useQuery({
    queryKey: computed(() => ['keys', filters.value.group_id, filters.value]),
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => fetchKeys(filters.value, signal),
  })
}

/** Loads a page that is likely to be asked for next. */
export function prefetchKeys(filters: KeyFilters) {
  return queryClient.prefetchQuery({
    queryKey: ['keys', filters.group_id, filters],
    queryFn: ({ signal }) => fetchKeys(filters, signal),
    staleTime: 15_000,
    gcTime: 15_000,
  })
}

export function useKey(id: Ref<number>) {
  return useQuery({
    queryKey: ['key', id],
    enabled: computed(() => id.value > 0),
    refetchInterval: 5_000,
    queryFn: ({ signal }) =>
      unwrap(client.GET('/api/keys/{id}', { params: { path: { id: id.value } }, signal })),
  })
}

export async function keysChanged() {
  await Promise.all(
    ['keys', 'key', 'group-stats', 'members'].map((key) =>
      queryClient.invalidateQueries({ queryKey: [key] }),
    ),
  )
}

async function changed<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } finally {
    await keysChanged()
  }
}

export function setNotes(id: number, notes: string) {
  return changed(
    unwrap(client.PUT('/api/keys/{id}/notes', { params: { path: { id } }, body: { notes } })),
  )
}

export function setStatus(id: number, status: 'active' | 'disabled', reason = '') {
  return changed(
    unwrap(
      client.PUT('/api/keys/{id}/status', { params: { path: { id } }, body: { status, reason } }),
    ),
  )
}

/** Ids beyond what one call takes go in several, so that a selection has no bound. */
const BULK = 1000

export interface BulkOutcome {
  changed: number
  unchanged: number
  results: KeyTest[]
}

export async function bulk(
  group: number,
  action: BulkAction,
  ids: number[],
  more: { reason?: string; notes?: string } = {},
): Promise<BulkOutcome> {
  const outcome: BulkOutcome = { changed: 0, unchanged: 0, results: [] }
  try {
    for (let at = 0; at < ids.length; at += BULK) {
      const body = { group_id: group, action, ids: ids.slice(at, at + BULK), ...more }
      const part = await unwrap(client.POST('/api/keys/bulk', { body }))
      outcome.changed += part.changed_count
      outcome.unchanged += part.unchanged_count
      outcome.results.push(...(part.results ?? []))
    }
  } finally {
    await keysChanged()
  }
  return outcome
}

/** The group's key with this value, which must not stand in an address; or null. */
export async function findKey(group: number, value: string) {
  const body = { group_id: group, keys_text: JSON.stringify([value]) }
  return (await unwrap(client.POST('/api/keys/find', { body }))).items[0] ?? null
}

/** One key in clear. */
export async function revealKey(id: number): Promise<string> {
  return (await unwrap(client.POST('/api/keys/{id}/reveal', { params: { path: { id } } })))
    .key_value
}

export function restoreAllInvalid(group: number) {
  return changed(
    unwrap(
      client.POST('/api/keys/restore-all-invalid', { body: { group_id: group } }),
    ),
  )
}

export function clearInvalid(group: number) {
  return changed(
    unwrap(
      client.POST('/api/keys/clear-all-invalid', { body: { group_id: group } }),
    ),
  )
}

export function clearAll(group: number) {
  return changed(
    unwrap(
      client.POST('/api/keys/clear-all', { body: { group_id: group } }),
    ),
  )
}

/** As an upload, so that the text is not held a second time as JSON. */
function upload(group: number, text: string) {
  const form = new FormData()
  form.set('group_id', String(group))
  form.set('file', new Blob([text], { type: 'text/plain' }), 'keys.txt')
  return {
    body: form as never,
    bodySerializer: (body: unknown) => body as FormData,
  }
}

export function previewImport(group: number, text: string) {
  return unwrap(client.POST('/api/keys/import-preview', upload(group, text)))
}

export function importKeys(group: number, text: string) {
  return unwrap(client.POST('/api/keys/add-async', upload(group, text)))
}

export function deleteKeysAsync(group: number, text: string) {
  return unwrap(
    client.POST('/api/keys/delete-async', { body: { group_id: group, keys_text: text } }),
  )
}

export function validateGroup(group: number, status?: 'active' | 'invalid') {
  return unwrap(
    client.POST('/api/keys/validate-group', {
      body: status ? { group_id: group, status } : { group_id: group },
    }),
  )
}

export function exportKeys(group: number, status: KeyStatus | 'all') {
  return file(
    client.GET('/api/keys/export', {
      params: { query: { group_id: group, status } },
      parseAs: 'blob',
    }),
  )
}
