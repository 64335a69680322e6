# SPDX-License-Identifier: MIT
# conf-examples: one tested file per web server, and the error pages they share.
exampledir = $(pkgdatadir)/conf-examples
dist_example_DATA = \
	conf-examples/Caddyfile \
	conf-examples/apache-fcgid.conf \
	conf-examples/apache-proxy.conf \
	conf-examples/fill.sh \
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
