// SPDX-License-Identifier: MIT
// What saving a group would change, item by item. Client keys are counted, not shown.
import type { GroupInput } from '@/api/types'
import { changesOf } from './groupDraft.ts'

export interface Change {
  /** Of the group, as the API has it. */
  field: string
  /** One of the field's items; empty: the field is one value. */
  item: string
  /** Null: there is none. */
  old: string | null
  now: string | null
}

type Items = Map<string, string>

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Repeated names are told apart by their number. */
function itemsOf(list: { name: string; value: string }[]): Items {
  const items: Items = new Map()
  for (const { name, value } of list) {
    let unique = name
    for (let n = 2; items.has(unique); n++) unique = `${name} (${n})`
    items.set(unique, value)
  }
  return items
}

function partsOf(field: string, value: unknown): Items | null {
  if (field === 'upstreams') {
    const list = (value ?? []) as { url: string; weight: number }[]
    return itemsOf(list.map((one) => ({ name: one.url, value: String(one.weight) })))
  }
  if (field === 'header_rules') {
    const list = (value ?? []) as { key: string; value: string; action: string }[]
    return itemsOf(
      list.map((one) => ({ name: one.key, value: one.action === 'remove' ? '–' : one.value })),
    )
  }
  if (typeof value !== 'object' || value === null) return null
  return new Map(Object.entries(value).map(([name, one]) => [name, text(one)]))
}

const keysOf = (value: unknown) =>
  String(value ?? '')
    .split(/[,\n]/)
    .map((one) => one.trim())
    .filter(Boolean)

function keyChange(field: string, old: unknown, now: unknown): Change {
  const before = new Set(keysOf(old))
  const after = new Set(keysOf(now))
  const added = [...after].filter((one) => !before.has(one)).length
  const gone = [...before].filter((one) => !after.has(one)).length
  return { field, item: '', old: String(before.size), now: `${after.size} (+${added} −${gone})` }
}

function itemChanges(field: string, before: Items, after: Items): Change[] {
  const changes: Change[] = []
  for (const item of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(item) ?? null
    const now = after.get(item) ?? null
    if (old !== now) changes.push({ field, item, old, now })
  }
  // The same items in another order.
  if (changes.length === 0)
    changes.push({ field, item: '', old: [...before.keys()].join(', '), now: [...after.keys()].join(', ') })
  return changes
}

export function differences(before: GroupInput, after: GroupInput): Change[] {
  const was = before as Record<string, unknown>
  return Object.entries(changesOf(before, after)).flatMap(([field, now]) => {
    const old = was[field]
    if (field === 'proxy_keys') return [keyChange(field, old, now)]
    const items = partsOf(field, now)
    if (items) return itemChanges(field, partsOf(field, old) ?? new Map(), items)
    // It has its list's name.
    const item = field === 'model_redirect_strict' ? 'strict' : ''
    return [{ field, item, old: text(old ?? ''), now: text(now) }]
  })
}
