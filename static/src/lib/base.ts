// SPDX-License-Identifier: MIT
// Where the page is served: at the root, or in a folder of a site. Its scripts are in
// assets/ below that.
export const BASE = import.meta.env.DEV ? '/' : new URL('../', import.meta.url).pathname
export const ORIGIN = location.origin + BASE.slice(0, -1)
