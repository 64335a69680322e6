// SPDX-License-Identifier: MIT
// Fails when what the browser must load before the first view is too large.
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const LIMIT = 200 * 1024

const out = process.env.GPT_LOAD_PAGE_OUT ?? 'dist'
const manifest = JSON.parse(readFileSync(join(out, '.vite/manifest.json'), 'utf8'))
const size = (file) => gzipSync(readFileSync(join(out, file)), { level: 6 }).length

const seen = new Set()
function collect(name) {
  const chunk = manifest[name]
  if (!chunk || seen.has(name)) return
  seen.add(name)
  chunk.imports?.forEach(collect)
}
collect('index.html')
const files = [...seen].map((name) => manifest[name])
const script = files.reduce((sum, chunk) => sum + size(chunk.file), 0)
const style = [...new Set(files.flatMap((chunk) => chunk.css ?? []))].reduce(
  (sum, file) => sum + size(file),
  0,
)
// The manifest was for this only.
rmSync(join(out, '.vite'), { recursive: true })
console.log(`initial script ${script} bytes gzip (at most ${LIMIT}), style ${style}`)
if (script > LIMIT) {
  console.error('the initial script is too large')
  process.exit(1)
}
