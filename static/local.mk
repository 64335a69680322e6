# SPDX-License-Identifier: MIT
# static: the page that the web server shows on everything but /proxy and /api.
#
# It is built by npm in a copy below the build folder, so that the sources stay as they
# are; a release brings it built, in static/page, and needs no npm.
pagedir = $(pkgdatadir)/static
page_inputs = static/.npmrc static/index.html static/package-lock.json static/package.json \
	static/tsconfig.json static/vite.config.ts
EXTRA_DIST += $(page_inputs) static/public static/scripts static/src \
	$(wildcard $(srcdir)/static/tests)
page_work = $(abs_builddir)/static/work

if BUILD_PAGE
page_built = $(abs_builddir)/static/dist
page_stamp = static/dist.stamp
# All of the sources, looked up when make starts.
page_files = $(shell cd '$(srcdir)' && find static/public static/scripts static/src static/tests -type f \
	! -name components.d.ts ! -name schema.d.ts)

static/npm.stamp: static/package-lock.json static/package.json static/.npmrc
	$(AM_V_GEN)$(MKDIR_P) '$(page_work)' && rm -f $@ && \
	(cd '$(srcdir)/static' && cp package.json package-lock.json .npmrc '$(page_work)') && \
	(cd '$(page_work)' && $(NPM) ci --ignore-scripts --loglevel=error) && touch $@

static/dist.stamp: static/npm.stamp admin-cgi/openapi.json $(page_inputs) $(page_files)
	$(AM_V_GEN)rm -rf $@ '$(page_work)/src' '$(page_work)/public' '$(page_work)/scripts' \
		'$(page_work)/tests' && \
	(cd '$(srcdir)/static' && \
		cp -R index.html tsconfig.json vite.config.ts public scripts src tests '$(page_work)') && \
	openapi=$$(cd '$(srcdir)/admin-cgi' && pwd)/openapi.json && (cd '$(page_work)' && \
		GPT_LOAD_OPENAPI="$$openapi" GPT_LOAD_PAGE_OUT='$(page_built)' \
		$(NPM) run --silent build) >static/build.log 2>&1 || \
		{ cat static/build.log >&2; exit 1; }; \
	touch $@
endif
if PREBUILT_PAGE
page_built = $(abs_srcdir)/static/page
page_stamp =
endif

# `make install` has it as well; by itself, into any folder: make install-page pagedir=…
.PHONY: page install-page uninstall-page dist-page clean-page
if HAVE_PAGE
page: $(page_stamp)
all-local: $(page_stamp)

# index.html last: it names the others. What an older one named stays a while for who
# has that open, compressed as well: lighttpd counts on it.
install-page: $(page_stamp)
	@$(MKDIR_P) '$(DESTDIR)$(pagedir)/assets'
	@(cd '$(page_built)' && find . -type f ! -name index.html ! -path './.vite/*') | \
		while read -r f; do \
			$(INSTALL_DATA) '$(page_built)'/"$$f" '$(DESTDIR)$(pagedir)'/"$$f" || exit 1; \
		done
	@(cd '$(DESTDIR)$(pagedir)/assets' && for f in *.js *.css; do \
		test ! -e "$$f" || test -e "$$f.gz" || gzip -9nc "$$f" >"$$f.gz" || exit 1; \
	done)
	@$(INSTALL_DATA) '$(page_built)/index.html' '$(DESTDIR)$(pagedir)/.index.html.new' && \
		mv -f '$(DESTDIR)$(pagedir)/.index.html.new' '$(DESTDIR)$(pagedir)/index.html'

install-data-local: install-page

uninstall-local: uninstall-page
uninstall-page:
	rm -rf '$(DESTDIR)$(pagedir)'

PAGE_OF_DIST = dist-page
dist-page: $(page_stamp)
	$(MKDIR_P) '$(distdir)/static/page'
	cp -R '$(page_built)/.' '$(distdir)/static/page'
	chmod -R u+w '$(distdir)/static'
else
PAGE_OF_DIST =
page install-page:
	@echo "this build is without the page: $(PAGE_WHY)" >&2; exit 1
endif

# SCREENSHOTFLAGS: see tests/page/screenshots.py --help.
.PHONY: screenshots
screenshots: all
	cd '$(srcdir)' && python=tests/.venv/bin/python && { test -x $$python || python=python3; } && \
		GPT_LOAD_BUILD='$(abs_top_builddir)' PYTHONDONTWRITEBYTECODE=1 \
		$$python tests/page/screenshots.py $(SCREENSHOTFLAGS)

clean-local: clean-page
clean-page:
	rm -rf static/dist static/dist.stamp static/npm.stamp static/work static/build.log
