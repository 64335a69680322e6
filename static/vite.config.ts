// SPDX-License-Identifier: MIT
import { fileURLToPath, URL } from 'node:url'
import vue from '@vitejs/plugin-vue'
import { ElementPlusResolver } from 'unplugin-vue-components/resolvers'
import Components from 'unplugin-vue-components/vite'
import { defineConfig, type Plugin } from 'vite'

// For `npm run dev` alone: where a running gateway answers.
const gateway = process.env.GPT_LOAD_URL ?? 'http://127.0.0.1:3001'

// Scripts find each other by relative addresses, so that the page can be served from a
// folder; index.html, which answers for every view's address, needs absolute ones.
function absoluteIndex(): Plugin {
  return {
    name: 'absolute-index',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (html) => html.replaceAll('"./', '"/'),
    },
  }
}

export default defineConfig({
  base: './',
  plugins: [
    vue(),
    absoluteIndex(),
    Components({ resolvers: [ElementPlusResolver()], dts: 'src/components.d.ts', dirs: [] }),
  ],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    outDir: process.env.GPT_LOAD_PAGE_OUT ?? 'dist',
    emptyOutDir: true,
    // The page's policy forbids data: URLs.
    assetsInlineLimit: 0,
    manifest: true,
    // What the page is made of asks that its licence goes with it.
    license: { fileName: 'licenses.txt' },
    // The polyfill would be for browsers that are older than the target.
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // One file instead of many of a few lines each.
        codeSplitting: {
          groups: [{ name: 'vendor', test: /node_modules\/(@vue|vue|vue-router|@tanstack)\// }],
        },
      },
    },
  },
  server: {
    proxy: { '/api': gateway, '/proxy': gateway, '/health': gateway },
  },
})
