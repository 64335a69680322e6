// SPDX-License-Identifier: MIT
// Log rows as files, portion by portion.
import type { LogRow } from '@/api/types'
import { csvRows } from './csv.ts'

export const COLUMNS = [
  'timestamp',
  'request_id',
  'attempt',
  'request_type',
  'group_name',
  'parent_group_name',
  'model',
  'status_code',
  'is_success',
  'is_stream',
  'duration_ms',
  'ttfb_ms',
  'prompt_tokens',
  'completion_tokens',
  'cached_tokens',
  'bytes_in',
  'bytes_out',
  'source_ip',
  'request_path',
  'upstream_addr',
  'key_value',
  'error_message',
  'end',
] as const satisfies (keyof LogRow)[]

type Row = Pick<LogRow, (typeof COLUMNS)[number]>

export interface LogFormat {
  type: string
  head: string
  rows: (items: Row[]) => string
}

export const FORMATS = {
  /** With a mark at its beginning by which spreadsheets know UTF-8. */
  csv: {
    type: 'text/csv;charset=utf-8',
    head: '\ufeff' + csvRows([[...COLUMNS]]),
    rows: (items) => csvRows(items.map((row) => COLUMNS.map((name) => row[name]))),
  },
  /** One object a line, numbers as numbers. */
  jsonl: {
    type: 'application/x-ndjson',
    head: '',
    rows: (items) =>
      items
        .map((row) => JSON.stringify(Object.fromEntries(COLUMNS.map((name) => [name, row[name]]))) + '\n')
        .join(''),
  },
} satisfies Record<string, LogFormat>
export type FormatName = keyof typeof FORMATS
