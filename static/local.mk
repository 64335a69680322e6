# SPDX-License-Identifier: MIT
# static: the page that the web server shows on everything but /proxy and /api.
pagedir = $(pkgdatadir)/static
dist_page_DATA = static/index.html static/page.css
