// SPDX-License-Identifier: MIT

/** Also over plain http, where the browser has no clipboard for scripts. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'sr'
  document.body.append(area)
  const before = document.activeElement
  area.select()
  const ok = document.execCommand('copy')
  area.remove()
  if (before instanceof HTMLElement) before.focus()
  if (!ok) throw new Error('the browser did not let the page copy')
}
