// SPDX-License-Identifier: MIT

export interface Command {
  to: string
  text: string
  /** What it is found by as well. */
  more?: string
}

const SHOWN = 50

/** Those that hold every word typed; what begins with the text comes first. */
export function found(all: Command[], typed: string): Command[] {
  const text = typed.trim().toLowerCase()
  const words = text.split(/\s+/)
  const said = (one: Command) => `${one.text} ${one.more ?? ''}`.toLowerCase()
  const hits = all.filter((one) => words.every((word) => said(one).includes(word)))
  const first = (one: Command) => (said(one).startsWith(text) ? 0 : 1)
  return hits.sort((a, b) => first(a) - first(b)).slice(0, SHOWN)
}
