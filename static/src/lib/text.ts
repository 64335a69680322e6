// SPDX-License-Identifier: MIT
// Small pure functions on text.

export interface ParsedKeys {
  keys: string[]
  /** Tokens that were there more than once. */
  repeated: number
  /** Tokens that cannot be keys: control characters, or too long. */
  malformed: string[]
}

const KEY_MAX = 4096

/** As the server reads pasted keys: a JSON array, or anything that separates. */
export function parseKeys(text: string): ParsedKeys {
  let tokens: string[] | null = null
  if (text.trimStart().startsWith('[')) {
    try {
      const value: unknown = JSON.parse(text)
      if (Array.isArray(value) && value.every((one) => typeof one === 'string')) tokens = value
    } catch {
      return { keys: [], repeated: 0, malformed: [text.trim().slice(0, 80)] }
    }
  }
  tokens ??= text.split(/[\s,;]+/)
  const seen = new Set<string>()
  const malformed: string[] = []
  let repeated = 0
  for (const raw of tokens) {
    const key = raw.trim()
    if (key === '') continue
    // eslint-disable-next-line no-control-regex
    if (key.length > KEY_MAX || /[\u0000-\u001f\u007f]/.test(key)) malformed.push(key)
    else if (seen.has(key)) repeated++
    else seen.add(key)
  }
  return { keys: [...seen], repeated, malformed }
}

/** A random key as this gateway's clients use: sk- and 48 characters. */
export function randomKey(): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bytes = crypto.getRandomValues(new Uint8Array(48))
  return 'sk-' + [...bytes].map((byte) => letters[byte % 64]).join('')
}

/** A file offered to the browser, without an address that anybody could see. */
export function saveFile(name: string, content: Blob) {
  const link = document.createElement('a')
  const url = URL.createObjectURL(content)
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
