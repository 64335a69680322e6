// SPDX-License-Identifier: MIT
// A group while it is edited: lists with rows that may be incomplete, and what the API
// takes. Rows have ids of their own so that fields keep their focus.
import type {
  Channel,
  Group,
  GroupInput,
  GroupUpdate,
  HeaderRule,
  SettingValue,
} from '@/api/types'
import { channelOf } from './channels.ts'

let last = 0
export const rowId = () => ++last

export interface UpstreamRow {
  id: number
  url: string
  weight: number
}
export interface HeaderRow extends HeaderRule {
  id: number
}
export interface RedirectRow {
  id: number
  from: string
  to: string
}
export interface ParamRow {
  id: number
  name: string
  /** JSON. */
  value: string
}
export interface OverrideRow {
  id: number
  key: string
  value: SettingValue
}

export interface GroupDraft {
  name: string
  display_name: string
  description: string
  group_type: 'standard' | 'aggregate'
  channel_type: Channel
  test_model: string
  validation_endpoint: string
  proxy_keys: string
  upstreams: UpstreamRow[]
  headers: HeaderRow[]
  redirects: RedirectRow[]
  strict: boolean
  params: ParamRow[]
  overrides: OverrideRow[]
}

export function newDraft(type: GroupDraft['group_type'], channel: Channel = 'openai'): GroupDraft {
  const about = channelOf(channel)
  return {
    name: '',
    display_name: '',
    description: '',
    group_type: type,
    channel_type: channel,
    test_model: about.model,
    validation_endpoint: '',
    proxy_keys: '',
    upstreams: [{ id: rowId(), url: about.upstream, weight: 1 }],
    headers: [],
    redirects: [],
    strict: false,
    params: [],
    overrides: [],
  }
}

export function draftOf(group: Group): GroupDraft {
  return {
    name: group.name,
    display_name: group.display_name,
    description: group.description,
    group_type: group.group_type,
    channel_type: group.channel_type,
    test_model: group.test_model,
    validation_endpoint: group.validation_endpoint,
    proxy_keys: group.proxy_keys,
    upstreams: group.upstreams.map((one) => ({ id: rowId(), ...one })),
    headers: group.header_rules.map((one) => ({ id: rowId(), ...one })),
    redirects: Object.entries(group.model_redirect_rules).map(([from, to]) => ({
      id: rowId(),
      from,
      to,
    })),
    strict: group.model_redirect_strict,
    params: Object.entries(group.param_overrides ?? {}).map(([name, value]) => ({
      id: rowId(),
      name,
      value: JSON.stringify(value),
    })),
    overrides: Object.entries({ ...group.config, ...group.options }).map(([key, value]) => ({
      id: rowId(),
      key,
      value: value as SettingValue,
    })),
  }
}

/** Overrides that this program added to the original's are kept apart. */
const OPTIONS = new Set(['stream_idle_timeout', 'stream_heartbeat_seconds'])

export class DraftError extends Error {
  readonly field: string
  constructor(field: string, message: string) {
    super(message)
    this.field = field
  }
}

function paramsOf(rows: ParamRow[]): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const row of rows) {
    if (row.name.trim() === '') continue
    try {
      params[row.name.trim()] = JSON.parse(row.value)
    } catch {
      // A bare word is meant as text.
      if (/^[\s]*[{["]/.test(row.value)) throw new DraftError('params', row.name)
      params[row.name.trim()] = row.value
    }
  }
  return params
}

function overridesOf(rows: OverrideRow[], ours: boolean) {
  return Object.fromEntries(
    rows.filter((row) => OPTIONS.has(row.key) === ours).map((row) => [row.key, row.value]),
  )
}

export function bodyOf(draft: GroupDraft): GroupInput {
  const body: GroupInput = {
    name: draft.name.trim(),
    display_name: draft.display_name.trim(),
    description: draft.description.trim(),
    channel_type: draft.channel_type,
    proxy_keys: draft.proxy_keys,
    config: overridesOf(draft.overrides, false),
    options: overridesOf(draft.overrides, true),
    param_overrides: paramsOf(draft.params),
  }
  if (draft.group_type === 'aggregate') return { ...body, group_type: 'aggregate' }
  return {
    ...body,
    group_type: 'standard',
    test_model: draft.test_model.trim(),
    validation_endpoint: draft.validation_endpoint.trim(),
    upstreams: draft.upstreams
      .filter((row) => row.url.trim() !== '')
      .map((row) => ({ url: row.url.trim(), weight: row.weight })),
    header_rules: draft.headers
      .filter((row) => row.key.trim() !== '')
      .map((row) => ({
        key: row.key.trim(),
        value: row.action === 'remove' ? '' : row.value,
        action: row.action,
      })),
    model_redirect_rules: Object.fromEntries(
      draft.redirects
        .filter((row) => row.from.trim() !== '')
        .map((row) => [row.from.trim(), row.to.trim()]),
    ),
    model_redirect_strict: draft.strict,
  }
}

/** What differs, so that a change made by somebody else meanwhile is not undone. */
export function changesOf(before: GroupInput, after: GroupInput): GroupUpdate {
  return Object.fromEntries(
    Object.entries(after).filter(
      ([name, value]) =>
        JSON.stringify(value) !== JSON.stringify((before as Record<string, unknown>)[name]),
    ),
  )
}

/** What was changed here and, to something else, by somebody else meanwhile. */
export function collisions(before: GroupInput, mine: GroupInput, theirs: GroupInput): string[] {
  const ours = changesOf(theirs, mine)
  const changedThere = changesOf(before, theirs)
  return Object.keys(changesOf(before, mine)).filter((name) => name in changedThere && name in ours)
}
