// SPDX-License-Identifier: MIT
// What a new group of a channel begins with.
import type { Channel } from '@/api/types'

export const CHANNELS: { id: Channel; name: string; upstream: string; model: string }[] = [
  { id: 'openai', name: 'OpenAI', upstream: 'https://api.openai.com', model: 'gpt-4.1-nano' },
  {
    id: 'openai-response',
    name: 'OpenAI Responses',
    upstream: 'https://api.openai.com',
    model: 'gpt-4.1-nano',
  },
  {
    id: 'gemini',
    name: 'Gemini',
    upstream: 'https://generativelanguage.googleapis.com',
    model: 'gemini-2.0-flash-lite',
  },
  {
    id: 'anthropic',
    name: 'Anthropic',
    upstream: 'https://api.anthropic.com',
    model: 'claude-3-haiku-20240307',
  },
]

export function channelOf(id: Channel) {
  return CHANNELS.find((one) => one.id === id) ?? CHANNELS[0]!
}
