// SPDX-License-Identifier: MIT
import type { Task } from '@/api/types'
import { t, type MessageKey } from '@/i18n'

const NAMES: Record<string, MessageKey> = {
  KEY_IMPORT: 'tasks.import',
  KEY_DELETE: 'tasks.delete',
  KEY_VALIDATION: 'tasks.validation',
}

export function taskName(task: Task): string {
  const key = NAMES[task.task_type]
  return key ? t(key) : task.task_type
}

export function taskState(task: Task): 'running' | 'cancelled' | 'failed' | 'done' {
  if (task.is_running) return 'running'
  if (task.state === 'cancelled') return 'cancelled'
  return task.error ? 'failed' : 'done'
}

/** What came of it, in one sentence. */
export function taskOutcome(task: Task): { good: boolean; text: string } {
  const about = `${task.group_name}: ${taskName(task)}`
  const state = taskState(task)
  if (state === 'cancelled')
    return { good: false, text: `${about} · ${t('tasks.cancelled')} · ${taskCounts(task)}` }
  if (state === 'failed') return { good: false, text: `${about} · ${task.error}` }
  return { good: true, text: `${about} · ${taskCounts(task)}` }
}

export function taskCounts(task: Task): string {
  const result = task.result
  if (result && 'valid_keys' in result)
    return t('tasks.validated', { valid: result.valid_keys, invalid: result.invalid_keys })
  if (result && 'added_count' in result)
    return t('tasks.added', { added: result.added_count, ignored: result.ignored_count })
  if (result && 'deleted_count' in result)
    return t('tasks.deleted', { deleted: result.deleted_count, ignored: result.ignored_count })
  return t('tasks.progress', { processed: task.processed, total: task.total })
}

/** Those that ended between two looks, newest first: also one so short that it began after the
 *  first, and was over before the second. */
export function endedBetween(before: Task[], now: Task[]): Task[] {
  const running = new Set(before.filter((task) => task.is_running).map((task) => task.id))
  const newest = Math.max(0, ...before.map((task) => task.id))
  return now.filter((task) => !task.is_running && (running.has(task.id) || task.id > newest))
}
