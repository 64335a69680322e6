// SPDX-License-Identifier: MIT
// Every view has an address, and a title.
import { nextTick, watch } from 'vue'
import {
  createRouter,
  createWebHashHistory,
  createWebHistory,
  type RouteLocationNormalized,
} from 'vue-router'
import { t, locale, type MessageKey } from './i18n'
import { BASE } from './lib/base'
import { onRecovery, reportDown } from './state/connection'
import { signedIn } from './state/session'

declare module 'vue-router' {
  interface RouteMeta {
    title?: MessageKey
    open?: boolean
  }
}

export const router = createRouter({
  // In a folder only the folder itself is sure to lead to the page.
  history: BASE === '/' ? createWebHistory() : createWebHashHistory(BASE),
  routes: [
    {
      path: '/sign-in',
      name: 'sign-in',
      component: () => import('./views/SignIn.vue'),
      meta: { title: 'signIn.title', open: true },
    },
    {
      path: '/',
      name: 'dashboard',
      component: () => import('./views/DashboardView.vue'),
      meta: { title: 'dashboard.title' },
    },
    {
      path: '/groups',
      component: () => import('./views/GroupsView.vue'),
      meta: { title: 'groups.title' },
      children: [
        {
          path: '',
          name: 'groups',
          component: () => import('./views/GroupsHome.vue'),
          meta: { title: 'groups.title' },
        },
        {
          path: 'new',
          name: 'group-new',
          component: () => import('./views/GroupEditor.vue'),
          meta: { title: 'groups.create' },
        },
        {
          path: ':id(\\d+)',
          name: 'group',
          component: () => import('./views/GroupView.vue'),
          meta: { title: 'groups.title' },
        },
        {
          path: ':id(\\d+)/edit',
          name: 'group-edit',
          component: () => import('./views/GroupEditor.vue'),
          meta: { title: 'groups.edit' },
        },
      ],
    },
    {
      path: '/logs',
      name: 'logs',
      component: () => import('./views/LogsView.vue'),
      meta: { title: 'logs.title' },
    },
    {
      path: '/tasks',
      name: 'tasks',
      component: () => import('./views/TasksView.vue'),
      meta: { title: 'tasks.title' },
    },
    {
      path: '/settings',
      name: 'settings',
      component: () => import('./views/SettingsView.vue'),
      meta: { title: 'settings.title' },
    },
    {
      path: '/guide',
      name: 'guide',
      component: () => import('./views/GuideView.vue'),
      meta: { title: 'guide.title' },
    },
    {
      path: '/:rest(.*)*',
      name: 'not-found',
      component: () => import('./views/NotFound.vue'),
      meta: { title: 'notFound.title' },
    },
  ],
})

router.beforeEach((to) => {
  if (!signedIn.value && !to.meta.open)
    return { name: 'sign-in', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
  if (signedIn.value && to.name === 'sign-in') return { name: 'dashboard' }
  return true
})

let own = ''

function retitle(to: RouteLocationNormalized) {
  // Before the first view there is none.
  if (to.meta.title) document.title = `${own || t(to.meta.title)} · GPT-Load`
}

/** A view names what it shows; '' goes back to the view's own title. */
export function setTitle(text: string) {
  own = text
  retitle(router.currentRoute.value)
}

router.afterEach((to, from) => {
  if (to.path !== from.path) own = ''
  retitle(to)
  // Another view: reading starts at its beginning, for a screen reader too.
  if (from.name && to.path !== from.path && to.matched[0] !== from.matched[0])
    void nextTick(() => document.getElementById('main')?.focus({ preventScroll: true }))
})

// A view whose script could not be fetched: it is opened once the server is back.
let waiting = ''
router.onError((_, to) => {
  waiting = to.fullPath
  reportDown('')
})
onRecovery(() => {
  if (waiting) location.assign(router.resolve(waiting).href)
})

watch(locale, () => retitle(router.currentRoute.value))

// Signed out, by hand or because the key no longer fits.
watch(signedIn, (is) => {
  const here = router.currentRoute.value
  if (!is && !here.meta.open)
    void router.replace({ name: 'sign-in', query: { next: here.fullPath } })
})
