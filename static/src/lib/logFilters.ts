// SPDX-License-Identifier: MIT
// The filters of the logs: in the address, as chips, and as the API takes them.
import type { LogFilters } from '@/api/logs'
import { rangeMs } from './ranges.ts'

/** A key's value is never one of them: addresses are kept in histories. */
export const FIELDS = [
  'group_name',
  'parent_group_name',
  'model',
  'status_class',
  'status_code',
  'is_success',
  'request_type',
  'error_contains',
  'source_ip',
  'request_id',
  'key_hash',
] as const
export type Field = (typeof FIELDS)[number]

/** As the dashboard counts them; other: what is in none of the four. */
export const STATUS_CLASSES = ['2xx', '3xx', '4xx', '5xx', 'other'] as const

/** Fields with few values, to be chosen from. */
export const CHOICES: Partial<Record<Field, readonly string[]>> = {
  status_class: STATUS_CLASSES,
  is_success: ['true', 'false'],
  request_type: ['final', 'retry'],
}

export interface Chip {
  field: Field
  value: string
}

export function chipsOf(get: (name: string) => string): Chip[] {
  return FIELDS.flatMap((field) => {
    const value = get(field)
    return value ? [{ field, value }] : []
  })
}

/** A number that can be a status; what else is typed is not sent. */
export function isStatus(text: string): boolean {
  return /^\d{1,3}$/.test(text)
}

/** What is typed as a status, as a filter: "429", and "4xx" is its class. Null: neither. */
export function statusFilter(text: string): Partial<Record<Field, string>> | null {
  const name = text.toLowerCase()
  if (isStatus(name)) return { status_code: name }
  return /^[2-5]xx$/.test(name) ? { status_class: name } : null
}

function isKnown(field: Field, value: string): boolean {
  if (field === 'status_code') return isStatus(value)
  return CHOICES[field]?.includes(value) ?? true
}

export function filtersOf(get: (name: string) => string, now: number): LogFilters {
  const filters: Record<string, string | number> = {}
  for (const { field, value } of chipsOf(get)) {
    if (isKnown(field, value)) filters[field] = field === 'status_code' ? Number(value) : value
  }
  const back = rangeMs(get('range'))
  if (!Number.isNaN(back)) filters.start_time = new Date(now - back).toISOString()
  else {
    if (get('start_time')) filters.start_time = get('start_time')
    if (get('end_time')) filters.end_time = get('end_time')
  }
  return filters as LogFilters
}

/** Rows of one request folded under the one that is shown first, which is its last try. */
export function fold<T extends { id: string; request_id: string; attempt: number }>(
  rows: T[],
): (T & { tries: number })[] {
  const shown = new Map<string, T & { tries: number }>()
  const folded: (T & { tries: number })[] = []
  for (const row of rows) {
    const first = row.request_id ? shown.get(row.request_id) : undefined
    if (first) first.tries = Math.max(first.tries, row.attempt, first.attempt)
    else {
      const one = { ...row, tries: Math.max(row.attempt, 1) }
      folded.push(one)
      if (row.request_id) shown.set(row.request_id, one)
    }
  }
  return folded
}
