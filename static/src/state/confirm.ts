// SPDX-License-Identifier: MIT
// One question at a time, answered by a promise.
import { shallowRef } from 'vue'

export interface Question {
  title: string
  text: string
  action: string
  danger?: boolean
  /** What must be typed before the action can be taken. */
  word?: string
}

interface Asked extends Question {
  answer: (yes: boolean) => void
}

export const question = shallowRef<Asked | null>(null)

export function confirm(about: Question): Promise<boolean> {
  question.value?.answer(false)
  return new Promise((resolve) => {
    question.value = {
      ...about,
      answer(yes) {
        question.value = null
        resolve(yes)
      },
    }
  })
}
