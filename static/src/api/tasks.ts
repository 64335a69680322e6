// SPDX-License-Identifier: MIT
import { useQuery } from '@tanstack/vue-query'
import { computed, watch, type Ref } from 'vue'
import { endedBetween } from '@/lib/tasks'
import { client, unwrap } from './client'
import { keysChanged } from './keys'
import { queryClient } from './query'
import type { Task } from './types'

const RUNNING_MS = 500
const IDLE_MS = 15_000

/** All tasks, newest first; asked for often only while one runs. */
export function useTasks() {
  const query = useQuery({
    queryKey: ['tasks'],
    queryFn: ({ signal }) => unwrap(client.GET('/api/tasks', { signal })),
    refetchInterval: ({ state }) =>
      state.data?.some((task) => task.is_running) ? RUNNING_MS : IDLE_MS,
  })
  return query
}

/** What is on the page follows a task that ends. Once, by the shell. */
export function followTasks(ended: (task: Task) => void) {
  const { data } = useTasks()
  watch(data, (now, before) => {
    if (!before || !now) return
    const over = endedBetween(before, now)
    if (over.length > 0) void keysChanged()
    over.forEach(ended)
  })
}

export function tasksChanged() {
  return queryClient.invalidateQueries({ queryKey: ['tasks'] })
}

export async function cancelTask(id: number) {
  const task = await unwrap(
    client.POST('/api/tasks/{id}/cancel', { params: { path: { id } } }),
  )
  await tasksChanged()
  return task
}

export function useTaskReport(id: Ref<number>) {
  return useQuery({
    queryKey: ['task-report', id],
    enabled: computed(() => id.value > 0),
    queryFn: ({ signal }) =>
      unwrap(client.GET('/api/tasks/{id}/report', { params: { path: { id: id.value } }, signal })),
    refetchInterval: ({ state }) => (state.data?.task.is_running ? RUNNING_MS : false),
  })
}
