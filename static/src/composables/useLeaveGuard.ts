// SPDX-License-Identifier: MIT
// Edits are not lost by a click beside them, Back, or closing the tab.
import { onBeforeUnmount, onMounted, type Ref } from 'vue'
import { onBeforeRouteLeave } from 'vue-router'
import { t } from '@/i18n'
import { confirm } from '@/state/confirm'
import { signedIn } from '@/state/session'

export function useLeaveGuard(dirty: Ref<boolean>) {
  onBeforeRouteLeave(async () => {
    if (!dirty.value || !signedIn.value) return true
    return confirm({
      title: t('leave.title'),
      text: t('leave.text'),
      action: t('leave.action'),
      danger: true,
    })
  })
  const closing = (event: BeforeUnloadEvent) => {
    if (dirty.value) event.preventDefault()
  }
  onMounted(() => window.addEventListener('beforeunload', closing))
  onBeforeUnmount(() => window.removeEventListener('beforeunload', closing))
}
