// SPDX-License-Identifier: MIT
// Relative time ranges: "1h" is the last hour.

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

export const RANGES = ['15m', '1h', '6h', '24h', '7d', '30d'] as const
export type Range = (typeof RANGES)[number]

export function isRange(text: unknown): text is Range {
  return RANGES.includes(text as Range)
}

/** Milliseconds; NaN for what is no range. */
export function rangeMs(range: string): number {
  const match = /^(\d{1,4})([mhd])$/.exec(range)
  return match ? Number(match[1]) * UNITS[match[2]!]! : NaN
}
