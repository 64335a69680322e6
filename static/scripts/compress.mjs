// SPDX-License-Identifier: MIT
// Lays a compressed file beside each script, style and drawing, for the web servers. Small
// ones have it too: a server may count on it being there.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const assets = join(process.env.GPT_LOAD_PAGE_OUT ?? 'dist', 'assets')

for (const name of readdirSync(assets)) {
  if (!/\.(css|js|svg)$/.test(name)) continue
  writeFileSync(join(assets, `${name}.gz`), gzipSync(readFileSync(join(assets, name)), { level: 9 }))
}
