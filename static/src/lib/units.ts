// SPDX-License-Identifier: MIT
// The units of settings, which the server's metadata does not have.
import type { MessageKey } from '@/i18n'

const SECONDS = new Set([
  'request_timeout',
  'connect_timeout',
  'idle_conn_timeout',
  'response_header_timeout',
  'stream_idle_timeout',
])

export function unitOf(key: string): MessageKey | '' {
  if (SECONDS.has(key) || key.endsWith('_seconds')) return 'unit.seconds'
  if (key.endsWith('_minutes')) return 'unit.minutes'
  if (key.endsWith('_days')) return 'unit.days'
  return ''
}
