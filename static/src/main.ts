// SPDX-License-Identifier: MIT
import 'element-plus/theme-chalk/base.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles/tokens.css'
import './styles/base.css'
import { VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'
import { queryClient, startQueries } from './api/query'
import App from './App.vue'
import { startI18n } from './i18n'
import { router } from './router'
import { startTheme } from './state/theme'

startTheme()
startQueries()
await startI18n()
createApp(App).use(router).use(VueQueryPlugin, { queryClient }).mount('#app')
