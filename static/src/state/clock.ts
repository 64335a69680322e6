// SPDX-License-Identifier: MIT
// One ticking clock for every "n s ago" on the page; it stands still while hidden.
import { ref } from 'vue'

export const now = ref(Date.now())
setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1000)
