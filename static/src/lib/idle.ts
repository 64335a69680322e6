// SPDX-License-Identifier: MIT
// How long nobody has touched the page, and when that is too long.

/** Minutes that can be chosen; 0: never. */
export const IDLE_CHOICES = [15, 30, 120, 480, 0] as const
export const IDLE_DEFAULT = 30
/** For how long it is announced, in ms. */
export const IDLE_WARNING = 60_000

export function idleMinutes(stored: string | null): number {
  return IDLE_CHOICES.find((one) => String(one) === stored) ?? IDLE_DEFAULT
}

/** Milliseconds until it is too long; none or fewer: it is. */
export function idleLeft(last: number, now: number, minutes: number): number {
  return minutes === 0 ? Infinity : last + minutes * 60_000 - now
}
