// SPDX-License-Identifier: MIT
// Members of aggregate groups.
import type { Channel, Group } from '@/api/types'

/** The share of the traffic that each gets: those without an active key get none. */
export function shares(
  members: { id: number; weight: number; able: boolean }[],
): Map<number, number> {
  const effective = (one: { weight: number; able: boolean }) => (one.able ? one.weight : 0)
  const total = members.reduce((sum, one) => sum + effective(one), 0)
  return new Map(members.map((one) => [one.id, total > 0 ? effective(one) / total : 0]))
}

export interface Candidate {
  group: Group
  /** Why it cannot be a member; empty: it can. */
  why: '' | 'aggregate' | 'channel' | 'member'
}

export function candidates(channel: Channel, groups: Group[], members: Set<number>): Candidate[] {
  return groups.map((group) => ({
    group,
    why: members.has(group.id)
      ? 'member'
      : group.group_type === 'aggregate'
        ? 'aggregate'
        : group.channel_type !== channel
          ? 'channel'
          : '',
  }))
}
