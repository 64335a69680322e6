# SPDX-License-Identifier: MIT
# man: the manual. The list of variables is made from .env.example.
dist_man_MANS = man/gpt-load.1 man/gpt-load.fcgi.8
nodist_man_MANS = man/gpt-load.env.5
EXTRA_DIST += man/gpt-load.env.5.in build-aux/envman.awk
CLEANFILES += man/gpt-load.env.5
man/gpt-load.env.5: $(srcdir)/man/gpt-load.env.5.in $(srcdir)/.env.example \
		$(srcdir)/build-aux/envman.awk Makefile
	$(AM_V_GEN)$(MKDIR_P) man && \
	$(AWK) -f $(srcdir)/build-aux/envman.awk $(srcdir)/.env.example >$@.list && \
	$(SED) -e '/^@variables@$$/{r $@.list' -e 'd' -e '}' -e 's|[@]sysconfdir[@]|$(sysconfdir)|g' \
		$(srcdir)/man/gpt-load.env.5.in >$@.tmp && rm $@.list && mv $@.tmp $@
