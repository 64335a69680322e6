// SPDX-License-Identifier: MIT
// Ready client programs for a group. The key is a placeholder: a secret is never put
// where somebody may copy it into a file by accident.
import type { Channel } from '@/api/types'

export interface Snippet {
  id: 'curl' | 'python' | 'node'
  title: string
  text: string
}

interface Target {
  endpoint: string
  model: string
}

const PROMPT = 'Say hello.'

function lines(...all: string[]): string {
  return all.join('\n')
}

const OPENAI = ({ endpoint, model }: Target): Record<Snippet['id'], string> => ({
  curl: lines(
    `curl ${endpoint}/v1/chat/completions \\`,
    `  -H "Authorization: Bearer $GPT_LOAD_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"model": "${model}", "messages": [{"role": "user", "content": "${PROMPT}"}]}'`,
  ),
  python: lines(
    'import os',
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url="${endpoint}/v1", api_key=os.environ["GPT_LOAD_KEY"])`,
    'answer = client.chat.completions.create(',
    `    model="${model}",`,
    `    messages=[{"role": "user", "content": "${PROMPT}"}],`,
    ')',
    'print(answer.choices[0].message.content)',
  ),
  node: lines(
    "import OpenAI from 'openai'",
    '',
    'const client = new OpenAI({',
    `  baseURL: '${endpoint}/v1',`,
    '  apiKey: process.env.GPT_LOAD_KEY,',
    '})',
    'const answer = await client.chat.completions.create({',
    `  model: '${model}',`,
    `  messages: [{ role: 'user', content: '${PROMPT}' }],`,
    '})',
    'console.log(answer.choices[0].message.content)',
  ),
})

const RESPONSES = ({ endpoint, model }: Target): Record<Snippet['id'], string> => ({
  curl: lines(
    `curl ${endpoint}/v1/responses \\`,
    `  -H "Authorization: Bearer $GPT_LOAD_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"model": "${model}", "input": "${PROMPT}"}'`,
  ),
  python: lines(
    'import os',
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url="${endpoint}/v1", api_key=os.environ["GPT_LOAD_KEY"])`,
    `answer = client.responses.create(model="${model}", input="${PROMPT}")`,
    'print(answer.output_text)',
  ),
  node: lines(
    "import OpenAI from 'openai'",
    '',
    'const client = new OpenAI({',
    `  baseURL: '${endpoint}/v1',`,
    '  apiKey: process.env.GPT_LOAD_KEY,',
    '})',
    `const answer = await client.responses.create({ model: '${model}', input: '${PROMPT}' })`,
    'console.log(answer.output_text)',
  ),
})

const ANTHROPIC = ({ endpoint, model }: Target): Record<Snippet['id'], string> => ({
  curl: lines(
    `curl ${endpoint}/v1/messages \\`,
    `  -H "x-api-key: $GPT_LOAD_KEY" \\`,
    `  -H "anthropic-version: 2023-06-01" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"model": "${model}", "max_tokens": 256, "messages": [{"role": "user", "content": "${PROMPT}"}]}'`,
  ),
  python: lines(
    'import os',
    'import anthropic',
    '',
    `client = anthropic.Anthropic(base_url="${endpoint}", api_key=os.environ["GPT_LOAD_KEY"])`,
    'answer = client.messages.create(',
    `    model="${model}",`,
    '    max_tokens=256,',
    `    messages=[{"role": "user", "content": "${PROMPT}"}],`,
    ')',
    'print(answer.content[0].text)',
  ),
  node: lines(
    "import Anthropic from '@anthropic-ai/sdk'",
    '',
    'const client = new Anthropic({',
    `  baseURL: '${endpoint}',`,
    '  apiKey: process.env.GPT_LOAD_KEY,',
    '})',
    'const answer = await client.messages.create({',
    `  model: '${model}',`,
    '  max_tokens: 256,',
    `  messages: [{ role: 'user', content: '${PROMPT}' }],`,
    '})',
    'console.log(answer.content[0].text)',
  ),
})

const GEMINI = ({ endpoint, model }: Target): Record<Snippet['id'], string> => ({
  curl: lines(
    `curl ${endpoint}/v1beta/models/${model}:generateContent \\`,
    `  -H "x-goog-api-key: $GPT_LOAD_KEY" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '{"contents": [{"parts": [{"text": "${PROMPT}"}]}]}'`,
  ),
  python: lines(
    'import os',
    'from google import genai',
    'from google.genai import types',
    '',
    'client = genai.Client(',
    '    api_key=os.environ["GPT_LOAD_KEY"],',
    `    http_options=types.HttpOptions(base_url="${endpoint}"),`,
    ')',
    `answer = client.models.generate_content(model="${model}", contents="${PROMPT}")`,
    'print(answer.text)',
  ),
  node: lines(
    "import { GoogleGenAI } from '@google/genai'",
    '',
    'const client = new GoogleGenAI({',
    '  apiKey: process.env.GPT_LOAD_KEY,',
    `  httpOptions: { baseUrl: '${endpoint}' },`,
    '})',
    'const answer = await client.models.generateContent({',
    `  model: '${model}',`,
    `  contents: '${PROMPT}',`,
    '})',
    'console.log(answer.text)',
  ),
})

const BY_CHANNEL: Record<Channel, (target: Target) => Record<Snippet['id'], string>> = {
  openai: OPENAI,
  'openai-response': RESPONSES,
  anthropic: ANTHROPIC,
  gemini: GEMINI,
}

export function snippets(channel: Channel, endpoint: string, model: string): Snippet[] {
  const texts = BY_CHANNEL[channel]({ endpoint, model })
  return [
    { id: 'curl', title: 'curl', text: texts.curl },
    { id: 'python', title: 'Python', text: texts.python },
    { id: 'node', title: 'Node.js', text: texts.node },
  ]
}
