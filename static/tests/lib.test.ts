// SPDX-License-Identifier: MIT
// The pure parts of the page: npm test.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { csvRows } from '../src/lib/csv.ts'
import { bodyOf, changesOf, collisions, newDraft } from '../src/lib/groupDraft.ts'
import { differences } from '../src/lib/groupDiff.ts'
import { inUnit } from '../src/lib/ago.ts'
import { causesOf, failuresFilter, tellingPart } from '../src/lib/causes.ts'
import { found } from '../src/lib/commands.ts'
import { idleLeft, idleMinutes } from '../src/lib/idle.ts'
import { chipsOf, filtersOf, fold, statusFilter } from '../src/lib/logFilters.ts'
import { COLUMNS, FORMATS } from '../src/lib/logExport.ts'
import { shares } from '../src/lib/members.ts'
import { mergeOrder, moved, sortChanges } from '../src/lib/order.ts'
import { isRange, rangeMs } from '../src/lib/ranges.ts'
import { parseKeys, randomKey } from '../src/lib/text.ts'

test('pasted keys are read as the server reads them', () => {
  assert.deepEqual(parseKeys(' a, b;\n c\ta ').keys, ['a', 'b', 'c'])
  assert.equal(parseKeys('a a b a').repeated, 2)
  assert.deepEqual(parseKeys('["x y", "z"]').keys, ['x y', 'z'])
  assert.equal(parseKeys('[broken').keys.length, 0)
  assert.equal(parseKeys('[broken').malformed.length, 1)
  assert.deepEqual(parseKeys(`ok ${'x'.repeat(4097)}`).malformed.length, 1)
  assert.deepEqual(parseKeys(' \n ').keys, [])
})

test('generated client keys are long and never the same', () => {
  assert.match(randomKey(), /^sk-[\w-]{48}$/)
  assert.notEqual(randomKey(), randomKey())
})

test('CSV is quoted, and nothing in it is a formula', () => {
  assert.equal(csvRows([['a"b', 'c,d', null, 7]]), '"a""b","c,d",,7\r\n')
  assert.equal(csvRows([['=HYPERLINK("x")', '+1', '-1', '@x', -1]]),
    '"\'=HYPERLINK(""x"")",\'+1,\'-1,\'@x,-1\r\n')
})

test('an order changed while filtered keeps the places of what is not in sight', () => {
  assert.deepEqual(mergeOrder([1, 2, 3, 4, 5], [4, 2]), [1, 4, 3, 2, 5])
  assert.deepEqual(moved(['a', 'b', 'c'], 0, 2), ['b', 'c', 'a'])
  const sorts = new Map([[7, 10], [8, 30], [9, 20]])
  assert.deepEqual(sortChanges([7, 9, 8], sorts), [])
  assert.deepEqual(sortChanges([9, 7, 8], sorts), [{ id: 9, sort: 10 }, { id: 7, sort: 20 }])
})

test('members without an active key get no share', () => {
  const live = shares([
    { id: 1, weight: 30, able: true },
    { id: 2, weight: 10, able: true },
    { id: 3, weight: 60, able: false },
  ])
  assert.deepEqual([...live], [[1, 0.75], [2, 0.25], [3, 0]])
  assert.deepEqual([...shares([{ id: 1, weight: 0, able: true }])], [[1, 0]])
})

test('ranges', () => {
  assert.equal(rangeMs('24h'), 86_400_000)
  assert.ok(Number.isNaN(rangeMs('1y')))
  assert.ok(isRange('7d') && !isRange('7x'))
})

test('log filters come from the address and leave out what is none', () => {
  const query: Record<string, string> = {
    model: 'gpt', status_code: '4xx', range: '1h', key_value: 'sk-never',
  }
  const get = (name: string) => query[name] ?? ''
  assert.deepEqual(chipsOf(get), [
    { field: 'model', value: 'gpt' }, { field: 'status_code', value: '4xx' },
  ])
  assert.deepEqual(filtersOf(get, 3_600_000), {
    model: 'gpt', start_time: '1970-01-01T00:00:00.000Z',
  })
  const classes = (text: string) => filtersOf((name) => (name === 'status_class' ? text : ''), 0)
  assert.deepEqual(classes('4xx'), { status_class: '4xx' })
  assert.deepEqual(classes('other'), { status_class: 'other' })
  assert.deepEqual(classes('6xx'), {})
})

test('a status is a number or a class', () => {
  assert.deepEqual(statusFilter('429'), { status_code: '429' })
  assert.deepEqual(statusFilter('0'), { status_code: '0' })
  assert.deepEqual(statusFilter('5XX'), { status_class: '5xx' })
  for (const text of ['4x', '1xx', '6xx', '4xxx', '1234', '-1', 'NaN']) {
    assert.equal(statusFilter(text), null, text)
  }
})

test('tries of one request are folded under its last', () => {
  const row = (id: string, request_id: string, attempt: number) => ({ id, request_id, attempt })
  const folded = fold([row('c', 'r1', 3), row('x', '', 1), row('b', 'r1', 2), row('y', '', 1)])
  assert.deepEqual(folded.map((one) => [one.id, one.tries]), [['c', 3], ['x', 1], ['y', 1]])
})

test('failures are counted by cause, without what names a single request', () => {
  assert.deepEqual(causesOf(['bad req_abcdef123', 'bad req_zzzzzz999', 'other']), [
    { error: 'bad req_…', count: 2 }, { error: 'other', count: 1 },
  ])
})

test('keys that failed by a cause are found by what they all say', () => {
  assert.equal(tellingPart('[status 401] bad key sk-… (req_…)'), '[status 401] bad key sk-')
  assert.equal(tellingPart('quota of [redacted] is used up'), 'is used up')
  assert.equal(tellingPart('…'), '')
})

test('a group is saved as what differs', () => {
  const draft = newDraft('standard')
  draft.name = ' g '
  const before = bodyOf(draft)
  draft.params.push({ id: 1, name: 'temperature', value: '0.5' })
  draft.params.push({ id: 2, name: 'user', value: 'someone' })
  assert.equal(before.name, 'g')
  assert.deepEqual(changesOf(before, bodyOf(draft)), {
    param_overrides: { temperature: 0.5, user: 'someone' },
  })
  draft.params[0]!.value = '{"a":'
  assert.throws(() => bodyOf(draft), /temperature/)
})

test('changes collide where both sides have changed the same to something else', () => {
  const body = (name: string, description: string) => {
    const draft = newDraft('standard')
    return bodyOf({ ...draft, name, description })
  }
  const before = body('a', 'x')
  assert.deepEqual(collisions(before, body('mine', 'x'), body('a', 'theirs')), [])
  assert.deepEqual(collisions(before, body('mine', 'mine'), body('a', 'theirs')), ['description'])
  assert.deepEqual(collisions(before, body('both', 'x'), body('both', 'x')), [])
})

test('a command is found by all of its words, its beginning first', () => {
  const all = [
    { to: '/a', text: 'All of OpenAI', more: 'openai-all' },
    { to: '/b', text: 'OpenAI main', more: 'openai-main' },
    { to: '/c', text: 'Logs' },
  ]
  assert.deepEqual(found(all, '').map((one) => one.to), ['/a', '/b', '/c'])
  assert.deepEqual(found(all, ' openai ').map((one) => one.to), ['/b', '/a'])
  assert.deepEqual(found(all, 'main open').map((one) => one.to), ['/b'])
  assert.deepEqual(found(all, 'nothing'), [])
})

test('the lock lets an older npm install everything, from any registry', () => {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { engines?: unknown; resolved?: unknown }>
  }
  const bad = Object.entries(lock.packages).filter(([, about]) => about.engines ?? about.resolved)
  assert.deepEqual(bad.map(([name]) => name), [], 'see scripts/lock.mjs')
})

test('a cause of failures finds its rows in the logs', () => {
  const failed = { is_success: 'false', request_type: 'final' }
  assert.deepEqual(failuresFilter({ status_code: 429, error: 'Trace req_…in the engine' }), {
    ...failed, status_code: '429', error_contains: 'in the engine',
  })
  assert.deepEqual(failuresFilter({ status_code: 0, error: '' }), { ...failed, status_code: '0' })
})

test('log rows as files: one line each, and the same columns', () => {
  const row = Object.fromEntries(COLUMNS.map((name) => [name, null])) as never
  const rows = [
    { ...(row as object), status_code: 429, error_message: '=odd\n"x"', request_body: 'not asked for' },
    row,
  ] as never
  const lines = FORMATS.jsonl.rows(rows).split('\n')
  assert.equal(lines.length, 3)
  assert.equal(lines[2], '')
  const first = JSON.parse(lines[0]!) as Record<string, unknown>
  assert.deepEqual(Object.keys(first), [...COLUMNS])
  assert.equal(first.status_code, 429)
  assert.equal(first.error_message, '=odd\n"x"')
  assert.ok(FORMATS.csv.rows(rows).includes('"\'=odd\n""x"""'))
  assert.ok(FORMATS.csv.head.startsWith('\ufefftimestamp,'))
})

test('a page that nobody touches has its time', () => {
  assert.equal(idleMinutes(null), 30)
  assert.equal(idleMinutes('7'), 30)
  assert.equal(idleMinutes('0'), 0)
  assert.equal(idleLeft(1000, 61_000, 30), 29 * 60_000)
  assert.ok(idleLeft(1000, 1000 + 30 * 60_000, 30) <= 0)
  assert.equal(idleLeft(0, 1e15, 0), Infinity)
})

test('what saving a group would change, item by item', () => {
  const before = bodyOf(newDraft('standard'))
  const draft = newDraft('standard')
  draft.display_name = 'Main'
  draft.proxy_keys = 'sk-one,sk-two'
  draft.upstreams = [
    { id: 1, url: before.upstreams![0]!.url, weight: 5 },
    { id: 2, url: 'https://two.example', weight: 1 },
  ]
  draft.redirects = [{ id: 3, from: 'a', to: 'b' }]
  assert.deepEqual(differences(before, bodyOf(draft)), [
    { field: 'display_name', item: '', old: '', now: 'Main' },
    { field: 'proxy_keys', item: '', old: '0', now: '2 (+2 −0)' },
    { field: 'upstreams', item: before.upstreams![0]!.url, old: '1', now: '5' },
    { field: 'upstreams', item: 'https://two.example', old: null, now: '1' },
    { field: 'model_redirect_rules', item: 'a', old: null, now: 'b' },
  ])
  const turned = bodyOf({ ...draft, upstreams: [...draft.upstreams].reverse() })
  assert.deepEqual(differences(bodyOf(draft), turned).map((one) => one.field), ['upstreams'])
  assert.deepEqual(differences(before, before), [])
})

test('how long ago is said in a unit that tells', () => {
  const day = 86_400
  assert.deepEqual(inUnit(0), [0, 'second'])
  assert.deepEqual(inUnit(-59), [-59, 'second'])
  assert.deepEqual(inUnit(3 * 3600 + 5), [3, 'hour'])
  assert.deepEqual(inUnit(-45 * day), [-45, 'day'])
  assert.deepEqual(inUnit(-100 * day), [-3, 'month'])
  assert.deepEqual(inUnit(-600 * day), [-20, 'month'])
  assert.deepEqual(inUnit(-1102 * day), [-3, 'year'])
})
