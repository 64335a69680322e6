// SPDX-License-Identifier: MIT

/** RFC 4180; what a spreadsheet would run as a formula is kept text by an apostrophe. */
export function csvField(value: unknown): string {
  let text = value === null || value === undefined ? '' : String(value)
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export function csvRows(rows: unknown[][]): string {
  return rows.map((row) => row.map(csvField).join(',') + '\r\n').join('')
}

/** With a mark at its beginning by which spreadsheets know UTF-8. */
export function csv(head: string[], rows: unknown[][]): Blob {
  return new Blob(['\ufeff', csvRows([head, ...rows])], { type: 'text/csv;charset=utf-8' })
}
