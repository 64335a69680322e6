// SPDX-License-Identifier: MIT
// The parts of a group by the names that the editor has for them.
import { t, type MessageKey } from '@/i18n'

const NAMES: Record<string, MessageKey> = {
  name: 'groups.name',
  display_name: 'groups.displayName',
  description: 'groups.description',
  channel_type: 'groups.channel',
  proxy_keys: 'groups.proxyKeys',
  config: 'groups.overrides',
  options: 'groups.overrides',
  param_overrides: 'groups.params',
  test_model: 'groups.testModel',
  validation_endpoint: 'groups.testPath',
  upstreams: 'groups.upstreams',
  header_rules: 'groups.headers',
  model_redirect_rules: 'groups.redirects',
  model_redirect_strict: 'groups.redirects',
}

export function fieldNames(fields: string[]): string {
  const names = fields.map((one) => (NAMES[one] ? t(NAMES[one]) : one))
  return [...new Set(names)].join(', ')
}
