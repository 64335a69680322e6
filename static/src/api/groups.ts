// SPDX-License-Identifier: MIT
import { useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { client, unwrap } from './client'
import { queryClient } from './query'
import type { GroupInput, GroupUpdate, UpstreamTestInput } from './types'

export function useGroups() {
  return useQuery({
    queryKey: ['groups'],
    queryFn: ({ signal }) => unwrap(client.GET('/api/groups', { signal })),
  })
}

/** As it is now. */
export function fetchGroup(id: number) {
  return unwrap(client.GET('/api/groups/{id}', { params: { path: { id } } }))
}

export function useGroupStats(id: Ref<number>) {
  return useQuery({
    queryKey: ['group-stats', id],
    enabled: computed(() => id.value > 0),
    refetchInterval: 10_000,
    queryFn: ({ signal }) =>
      unwrap(
        client.GET('/api/groups/{id}/stats', { params: { path: { id: id.value } }, signal }),
      ),
  })
}

export function useMembers(id: Ref<number>) {
  return useQuery({
    queryKey: ['members', id],
    enabled: computed(() => id.value > 0),
    queryFn: ({ signal }) =>
      unwrap(
        client.GET('/api/groups/{id}/sub-groups', { params: { path: { id: id.value } }, signal }),
      ),
  })
}

export function useParents(id: Ref<number>) {
  return useQuery({
    queryKey: ['parents', id],
    enabled: computed(() => id.value > 0),
    queryFn: ({ signal }) =>
      unwrap(
        client.GET('/api/groups/{id}/parent-aggregate-groups', {
          params: { path: { id: id.value } },
          signal,
        }),
      ),
  })
}

export async function groupsChanged() {
  await Promise.all(
    ['groups', 'members', 'parents', 'group-stats'].map((key) =>
      queryClient.invalidateQueries({ queryKey: [key] }),
    ),
  )
}

async function changed<T>(call: Promise<T>): Promise<T> {
  const result = await call
  await groupsChanged()
  return result
}

export function createGroup(body: GroupInput) {
  return changed(unwrap(client.POST('/api/groups', { body })))
}

export function updateGroup(id: number, body: GroupUpdate) {
  return changed(unwrap(client.PUT('/api/groups/{id}', { params: { path: { id } }, body })))
}

/** What shows the group must be left before groupsChanged() asks for all anew. */
export function deleteGroup(id: number) {
  return unwrap(client.DELETE('/api/groups/{id}', { params: { path: { id } } }))
}

export function copyGroup(id: number, copyKeys: 'all' | 'valid_only' | 'none') {
  return changed(
    unwrap(
      client.POST('/api/groups/{id}/copy', {
        params: { path: { id } },
        body: { copy_keys: copyKeys },
      }),
    ),
  )
}

export function reorderGroups(items: { id: number; sort: number }[]) {
  return unwrap(client.PUT('/api/groups/reorder', { body: { items } }))
}

export function addMembers(id: number, members: { group_id: number; weight: number }[]) {
  return changed(
    unwrap(
      client.POST('/api/groups/{id}/sub-groups', {
        params: { path: { id } },
        body: { sub_groups: members },
      }),
    ),
  )
}

export function weighMember(id: number, member: number, weight: number) {
  return changed(
    unwrap(
      client.PUT('/api/groups/{id}/sub-groups/{subGroupId}/weight', {
        params: { path: { id, subGroupId: member } },
        body: { weight },
      }),
    ),
  )
}

export function removeMember(id: number, member: number) {
  return changed(
    unwrap(
      client.DELETE('/api/groups/{id}/sub-groups/{subGroupId}', {
        params: { path: { id, subGroupId: member } },
      }),
    ),
  )
}

/** The group's own client keys in clear, separated by commas. */
export async function revealGroupKeys(id: number): Promise<string> {
  return (await unwrap(client.POST('/api/groups/{id}/reveal', { params: { path: { id } } })))
    .proxy_keys
}

export function testUpstream(body: UpstreamTestInput, signal?: AbortSignal) {
  return unwrap(client.POST('/api/upstreams/test', { body, signal }))
}
