// SPDX-License-Identifier: MIT
import type { KeyState } from '@/api/types'

export const TONES: Record<KeyState, 'good' | 'bad' | 'warn' | 'idle'> = {
  active: 'good',
  resting: 'warn',
  invalid: 'bad',
  disabled: 'idle',
}
