# SPDX-License-Identifier: MIT
# conf-examples: one tested file per web server, and the error pages they share; what
# an installation takes from here (units, log rotation, shared hosting, Docker).
exampledir = $(pkgdatadir)/conf-examples
dist_example_DATA = \
	conf-examples/Caddyfile \
	conf-examples/apache-fcgid.conf \
	conf-examples/apache-proxy.conf \
	conf-examples/fill.sh \
	conf-examples/grafana-dashboard.json \
	conf-examples/lighttpd.conf \
	conf-examples/nginx.conf
errorpagedir = $(exampledir)/errors
dist_errorpage_DATA = \
	conf-examples/errors/400.html \
	conf-examples/errors/404.html \
	conf-examples/errors/405.html \
	conf-examples/errors/408.html \
	conf-examples/errors/411.html \
	conf-examples/errors/413.html \
	conf-examples/errors/414.html \
	conf-examples/errors/417.html \
	conf-examples/errors/431.html \
	conf-examples/errors/500.html \
	conf-examples/errors/501.html \
	conf-examples/errors/502.html \
	conf-examples/errors/503.html \
	conf-examples/errors/504.html \
	conf-examples/errors/505.html

# --- installed: the file, units, log rotation, a program that serves in the foreground ---

# In these, @NAME@ is replaced by where things are installed: by make, not configure, so
# that `make install prefix=…` holds as well.
UNITS = \
	conf-examples/systemd/gpt-load-api.service \
	conf-examples/systemd/gpt-load-api.socket \
	conf-examples/systemd/gpt-load-jobs.service \
	conf-examples/systemd/gpt-load-jobs.timer \
	conf-examples/systemd/gpt-load.service \
	conf-examples/systemd/gpt-load.socket
EXTRA_DIST += conf-examples/logrotate.in $(UNITS:=.in) \
	conf-examples/docker/Dockerfile conf-examples/docker/compose.yaml
# systemd reads $prefix/lib/systemd/system of /usr and /usr/local.
systemunitdir = $(prefix)/lib/systemd/system
conffile = $(sysconfdir)/gpt-load/gpt-load.env
# StateDirectory= is always below /var/lib.
FILL = sed \
	-e 's|@bindir''@|$(bindir)|g' \
	-e 's|@pkglibexecdir''@|$(pkglibexecdir)|g' \
	-e 's|@pkgdatadir''@|$(pkgdatadir)|g' \
	-e 's|@docdir''@|$(docdir)|g' \
	-e 's|@localstatedir''@|$(localstatedir)|g' \
	-e 's|@web_group''@|$(web_group)|g' \
	-e 's|^@state''@$$|$(if $(filter /var,$(localstatedir)),StateDirectory=gpt-load,ReadWritePaths=-$(localstatedir)/lib/gpt-load)|'

install-exec-hook:
	$(MKDIR_P) '$(DESTDIR)$(pkglibexecdir)'
	sed 's|^installed=.*|installed="$(bindir) $(pkglibexecdir) $(pkgdatadir)"|' \
		$(srcdir)/start.sh >'$(DESTDIR)$(pkglibexecdir)/serve'
	chmod 755 '$(DESTDIR)$(pkglibexecdir)/serve'

# The configuration stays as it is when there is one.
install-data-hook:
	$(MKDIR_P) '$(DESTDIR)$(systemunitdir)' '$(DESTDIR)$(sysconfdir)/gpt-load' \
		'$(DESTDIR)$(sysconfdir)/logrotate.d'
	set -e; for unit in $(notdir $(UNITS)); do \
		$(FILL) $(srcdir)/conf-examples/systemd/$$unit.in \
			>'$(DESTDIR)$(systemunitdir)'/$$unit; \
		chmod 644 '$(DESTDIR)$(systemunitdir)'/$$unit; \
	done
	$(FILL) $(srcdir)/conf-examples/logrotate.in >'$(DESTDIR)$(sysconfdir)/logrotate.d/gpt-load'
	chmod 644 '$(DESTDIR)$(sysconfdir)/logrotate.d/gpt-load'
	sed 's|^#DATA_DIR=.*|#DATA_DIR=$(localstatedir)/lib/gpt-load|' $(srcdir)/.env.example \
		>'$(DESTDIR)$(conffile).sample'
	chmod 644 '$(DESTDIR)$(conffile).sample'
	test -e '$(DESTDIR)$(conffile)' || \
		$(INSTALL) -m 640 '$(DESTDIR)$(conffile).sample' '$(DESTDIR)$(conffile)'

# A configuration that nobody has changed goes; state always stays.
uninstall-hook:
	cmp -s '$(DESTDIR)$(conffile)' '$(DESTDIR)$(conffile).sample' && \
		rm -f '$(DESTDIR)$(conffile)' || :
	rm -f '$(DESTDIR)$(conffile).sample' '$(DESTDIR)$(pkglibexecdir)/serve' \
		'$(DESTDIR)$(sysconfdir)/logrotate.d/gpt-load'
	cd '$(DESTDIR)$(systemunitdir)' && rm -f $(notdir $(UNITS)) || :
	-rmdir '$(DESTDIR)$(sysconfdir)/gpt-load' '$(DESTDIR)$(pkglibexecdir)' \
		'$(DESTDIR)$(errorpagedir)' '$(DESTDIR)$(sharedhostingdir)' '$(DESTDIR)$(exampledir)' \
		'$(DESTDIR)$(pagedir)' '$(DESTDIR)$(pkgdatadir)' '$(DESTDIR)$(docdir)' 2>/dev/null

# --- shared hosting: into a folder that somebody else's web server serves ---

sharedhostingdir = $(exampledir)/shared-hosting
dist_sharedhosting_DATA = conf-examples/shared-hosting/htaccess
dist_sharedhosting_SCRIPTS = conf-examples/shared-hosting/install.sh
LAY = BINDIR='$(bindir)' LIBEXECDIR='$(pkglibexecdir)' DATADIR='$(pkgdatadir)' \
	CONFIG='$(conffile)' TEMPLATE='$(sharedhostingdir)/htaccess' \
	sh '$(sharedhostingdir)/install.sh'

# make install-htaccess DIR=$HOME/public_html/ai [HANDLER=fcgid]
.PHONY: install-htaccess uninstall-htaccess
install-htaccess:
	@test -f '$(sharedhostingdir)/install.sh' || { echo 'run make install first' >&2; exit 2; }
	@$(LAY) add '$(DIR)' '$(HANDLER)'
uninstall-htaccess:
	@$(LAY) remove '$(DIR)'
