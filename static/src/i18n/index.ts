// SPDX-License-Identifier: MIT
// The page's texts. A language is one lazily loaded module with the same keys as
// en.ts, which the compiler checks; nothing is compiled at run time.
import { computed, ref, shallowRef } from 'vue'
import { inUnit } from '@/lib/ago'
import type { Messages } from './en'

export type Locale = 'zh-CN' | 'en-US' | 'ja-JP'
export const LOCALES: { id: Locale; name: string }[] = [
  { id: 'zh-CN', name: '简体中文' },
  { id: 'en-US', name: 'English' },
  { id: 'ja-JP', name: '日本語' },
]

type Leaves<T> = {
  [K in keyof T & string]: T[K] extends string ? K : `${K}.${Leaves<T[K]>}`
}[keyof T & string]
export type MessageKey = Leaves<Messages>

const STORE = 'gpt-load-locale'
const loaders = {
  'zh-CN': () => Promise.all([import('./zh'), import('element-plus/es/locale/lang/zh-cn.mjs')]),
  'en-US': () => Promise.all([import('./en'), import('element-plus/es/locale/lang/en.mjs')]),
  'ja-JP': () => Promise.all([import('./ja'), import('element-plus/es/locale/lang/ja.mjs')]),
}

export const locale = ref<Locale>('en-US')
const messages = shallowRef<Messages>()
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export const elementLocale = shallowRef<any>()

function isLocale(text: string | null): text is Locale {
  return LOCALES.some((one) => one.id === text)
}

function preferred(): Locale {
  const stored = localStorage.getItem(STORE)
  if (isLocale(stored)) return stored
  for (const wanted of navigator.languages) {
    const found = LOCALES.find((one) => one.id.slice(0, 2) === wanted.slice(0, 2).toLowerCase())
    if (found) return found.id
  }
  return 'zh-CN'
}

async function load(wanted: Locale) {
  const [texts, element] = await loaders[wanted]()
  messages.value = texts.default
  elementLocale.value = element.default
  locale.value = wanted
  document.documentElement.lang = wanted
}

export async function setLocale(wanted: Locale) {
  localStorage.setItem(STORE, wanted)
  await load(wanted)
}

export function startI18n() {
  return load(preferred())
}

function find(key: string): string {
  let at: unknown = messages.value
  for (const part of key.split('.')) at = (at as Record<string, unknown> | undefined)?.[part]
  return typeof at === 'string' ? at : key
}

const plural = computed(() => new Intl.PluralRules(locale.value))

/** The text of `key`; `{name}` is replaced, and "one|many" chosen by `n`. */
export function t(key: MessageKey, values: Record<string, string | number> = {}): string {
  let text = find(key)
  if (text.includes('|') && typeof values.n === 'number') {
    const [one, many] = text.split('|') as [string, string]
    text = plural.value.select(values.n) === 'one' ? one : many
  }
  return text.replace(/\{(\w+)\}/g, (all, name: string) => {
    const value = values[name]
    if (value === undefined) return all
    return typeof value === 'number' ? number(value) : value
  })
}

// --- numbers and times ---

const formats = computed(() => ({
  number: new Intl.NumberFormat(locale.value),
  decimal: new Intl.NumberFormat(locale.value, { maximumFractionDigits: 1 }),
  compact: new Intl.NumberFormat(locale.value, {
    notation: 'compact',
    maximumFractionDigits: 1,
  }),
  percent: new Intl.NumberFormat(locale.value, { style: 'percent', maximumSignificantDigits: 3 }),
  time: new Intl.DateTimeFormat(locale.value, { dateStyle: 'medium', timeStyle: 'medium' }),
  short: new Intl.DateTimeFormat(locale.value, {
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }),
  relative: new Intl.RelativeTimeFormat(locale.value, { numeric: 'auto', style: 'short' }),
}))

export function number(value: number): string {
  return formats.value.number.format(value)
}

/** Large numbers shortened: 1.3M. */
export function compact(value: number): string {
  return Math.abs(value) < 10000 ? number(value) : formats.value.compact.format(value)
}

/** Of a fraction. */
export function percent(fraction: number): string {
  return formats.value.percent.format(fraction)
}

export function dateTime(iso: string | number | Date): string {
  return formats.value.time.format(new Date(iso))
}

export function shortTime(iso: string | number | Date): string {
  return formats.value.short.format(new Date(iso))
}

/** Milliseconds as a person reads them. */
export function duration(ms: number): string {
  if (ms > 0 && ms < 10) return `${formats.value.decimal.format(ms)} ms`
  if (ms < 1000) return `${number(Math.round(ms))} ms`
  if (ms < 60_000) return `${formats.value.decimal.format(ms / 1000)} s`
  return `${formats.value.decimal.format(ms / 60_000)} min`
}

/** "3 min. ago", "in 2 hr."; seen from `now` in ms. */
export function relative(iso: string | number, now: number): string {
  return formats.value.relative.format(
    ...inUnit(Math.round((new Date(iso).getTime() - now) / 1000)),
  )
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  let at = 0
  let value = n
  for (; value >= 1024 && at < units.length - 1; at++) value /= 1024
  return `${formats.value.decimal.format(value)} ${units[at]}`
}
