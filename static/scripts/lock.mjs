// SPDX-License-Identifier: MIT
// npm run lock, after package.json was changed: makes package-lock.json anew.
//
// What is installed runs under the Node.js that package.json brings. An older npm would
// judge by its own Node.js, and leave out optional packages that this is too old for; so
// the lock says nothing of engines, nor of where packages come from.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const FILE = 'package-lock.json'

execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], { stdio: 'inherit' })
const lock = JSON.parse(readFileSync(FILE, 'utf8'))
for (const about of Object.values(lock.packages)) {
  delete about.engines
  delete about.resolved
}
writeFileSync(FILE, JSON.stringify(lock, null, 2) + '\n')
