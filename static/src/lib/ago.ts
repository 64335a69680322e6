// SPDX-License-Identifier: MIT
// How long ago, in the largest unit that still tells times apart.

const DAY = 86_400
/** From how many seconds on a unit of so many is used. */
const STEPS = [
  ['year', 365 * DAY, 2 * 365 * DAY],
  ['month', 30 * DAY, 60 * DAY],
  ['day', DAY, DAY],
  ['hour', 3600, 3600],
  ['minute', 60, 60],
] as const

export function inUnit(seconds: number): [number, Intl.RelativeTimeFormatUnit] {
  const step = STEPS.find(([, , from]) => Math.abs(seconds) >= from)
  return step ? [Math.trunc(seconds / step[1]), step[0]] : [seconds, 'second']
}
