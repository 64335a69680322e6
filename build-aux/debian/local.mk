# SPDX-License-Identifier: MIT
# build-aux/debian: the Debian package.
#
# Built by dpkg-buildpackage from the release tarball, as any package is: debhelper knows
# the libraries it depends on, the snippets for systemd and Debian's rules better than a
# script of ours around dpkg-deb would. Kept here, not in debian/, which would claim that
# the whole tree is a Debian source package; a tarball has it as build-aux/debian, so that
# `cp -r build-aux/debian debian` is all that a packager needs.
EXTRA_DIST += build-aux/debian

# Its version is configure's.
.PHONY: dist-changelog
dist-changelog:
	cd '$(distdir)/build-aux/debian' && chmod u+w . && rm -f changelog
	sed '1s/@[V]ERSION@/$(VERSION)/' $(srcdir)/build-aux/debian/changelog \
		>'$(distdir)/build-aux/debian/changelog'

# make deb [DEBFLAGS=-d]: the package in the folder of the build. Who gives it to others
# says who they are, as Debian's own tools take it: DEBFULLNAME and DEBEMAIL.
.PHONY: deb
deb: dist
	rm -rf deb.tmp && $(MKDIR_P) deb.tmp
	tar -xf $(distdir).tar.xz -C deb.tmp
	cp -r deb.tmp/$(distdir)/build-aux/debian deb.tmp/$(distdir)/debian
	cd deb.tmp/$(distdir) && \
		{ test -z "$$DEBFULLNAME" || test -z "$$DEBEMAIL" || { \
			who=$$(printf '%s <%s>' "$$DEBFULLNAME" "$$DEBEMAIL" | \
				sed 's/[&\\/]/\\&/g'); \
			sed -i "s/GPT-Load in C authors <.*>/$$who/" debian/changelog debian/control; \
		}; } && \
		dpkg-buildpackage -us -uc -b $(DEBFLAGS)
	mv deb.tmp/gpt-load_*.deb . && rm -rf deb.tmp
