// SPDX-License-Identifier: MIT
// Reordering a list of which only a part may be in sight.

/** `all` with `visible`'s members in their new order, on the places they had. */
export function mergeOrder(all: number[], visible: number[]): number[] {
  const moved = new Set(visible)
  let next = 0
  return all.map((id) => (moved.has(id) ? visible[next++]! : id))
}

export function moved<T>(list: T[], from: number, to: number): T[] {
  const next = [...list]
  const [one] = next.splice(from, 1)
  if (one !== undefined) next.splice(to, 0, one)
  return next
}

const STEP = 10

/** New sort numbers, only where they differ. */
export function sortChanges(
  order: number[],
  sorts: Map<number, number>,
): { id: number; sort: number }[] {
  return order
    .map((id, index) => ({ id, sort: (index + 1) * STEP }))
    .filter((one) => sorts.get(one.id) !== one.sort)
}
