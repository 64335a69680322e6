// SPDX-License-Identifier: MIT
// Makes the API client's types from the OpenAPI file of the management API.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import openapiTS, { astToString } from 'openapi-typescript'

const source = process.env.GPT_LOAD_OPENAPI ?? '../admin-cgi/openapi.json'
const target = 'src/api/schema.d.ts'

const types = astToString(await openapiTS(JSON.parse(readFileSync(source, 'utf8'))))
mkdirSync('src/api', { recursive: true })
writeFileSync(target, types)
