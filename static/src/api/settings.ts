// SPDX-License-Identifier: MIT
import { useQuery } from '@tanstack/vue-query'
import { locale } from '@/i18n'
import { client, unwrap } from './client'
import { queryClient } from './query'
import type { SettingsInput } from './types'

export function useSettings() {
  return useQuery({
    // Names and descriptions are the server's, in its language.
    queryKey: ['settings', locale],
    queryFn: ({ signal }) => unwrap(client.GET('/api/settings', { signal })),
  })
}

export async function saveSettings(body: SettingsInput) {
  await unwrap(client.PUT('/api/settings', { body }))
  await Promise.all([
    queryClient.invalidateQueries({ queryKey: ['settings'] }),
    queryClient.invalidateQueries({ queryKey: ['groups'] }),
  ])
}

/** The system-wide client keys in clear, separated by commas. */
export async function revealProxyKeys(): Promise<string> {
  return (await unwrap(client.POST('/api/settings/reveal'))).proxy_keys
}
