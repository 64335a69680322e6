# SPDX-License-Identifier: MIT
# admin-cgi: the management programs and the command line.

# What they share, and every resource; each program takes what it names.
noinst_LIBRARIES += admin-cgi/libadmin.a
admin_cgi_libadmin_a_SOURCES = \
	admin-cgi/admin.c admin-cgi/admin.h \
	admin-cgi/auth.c \
	admin-cgi/bulk.c \
	admin-cgi/find.c \
	admin-cgi/channels.c \
	admin-cgi/errtext.c admin-cgi/errtext.h admin-cgi/errtext_table.h \
	admin-cgi/group_out.c admin-cgi/group_out.h \
	admin-cgi/groups.c \
	admin-cgi/health.c \
	admin-cgi/integration.c \
	admin-cgi/key.c \
	admin-cgi/key_out.c admin-cgi/key_out.h \
	admin-cgi/keys.c \
	admin-cgi/logs.c admin-cgi/logs.h \
	admin-cgi/logs_export.c \
	admin-cgi/logs_filters.c \
	admin-cgi/logs_split.c \
	admin-cgi/main.c \
	admin-cgi/members.c \
	admin-cgi/metrics.c \
	admin-cgi/msg.c admin-cgi/msg.h \
	admin-cgi/out.c admin-cgi/out.h \
	admin-cgi/preview.c admin-cgi/preview.h \
	admin-cgi/request.c \
	admin-cgi/reveal.c \
	admin-cgi/setting_out.c admin-cgi/setting_out.h \
	admin-cgi/settings.c \
	admin-cgi/throttle.c admin-cgi/throttle.h \
	admin-cgi/dashboard.c admin-cgi/dashboard.h \
	admin-cgi/security.c \
	admin-cgi/summary.c \
	admin-cgi/failures.c \
	admin-cgi/multipart.c admin-cgi/multipart.h \
	admin-cgi/tasks.c \
	admin-cgi/keytest.c admin-cgi/keytest.h \
	admin-cgi/upstream_test.c \
	admin-cgi/version.c
ADMIN_LIBS = admin-cgi/libadmin.a $(CORE_LIBS) $(FCGI_LIBS)

# One program per resource, and api.fcgi with all of them.
pkglibexec_PROGRAMS += \
	admin-cgi/api.fcgi \
	admin-cgi/auth.cgi \
	admin-cgi/channels.cgi \
	admin-cgi/groups.cgi \
	admin-cgi/health.cgi \
	admin-cgi/integration.cgi \
	admin-cgi/keys.cgi \
	admin-cgi/logs.cgi \
	admin-cgi/metrics.cgi \
	admin-cgi/settings.cgi \
	admin-cgi/dashboard.cgi \
	admin-cgi/tasks.cgi \
	admin-cgi/keytest.cgi \
	admin-cgi/version.cgi

admin_cgi_api_fcgi_SOURCES = admin-cgi/main_api.c
admin_cgi_api_fcgi_LDADD = $(ADMIN_LIBS)
admin_cgi_auth_cgi_SOURCES = admin-cgi/main_auth.c
admin_cgi_auth_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_channels_cgi_SOURCES = admin-cgi/main_channels.c
admin_cgi_channels_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_groups_cgi_SOURCES = admin-cgi/main_groups.c
admin_cgi_groups_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_health_cgi_SOURCES = admin-cgi/main_health.c
admin_cgi_health_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_integration_cgi_SOURCES = admin-cgi/main_integration.c
admin_cgi_integration_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_keys_cgi_SOURCES = admin-cgi/main_keys.c
admin_cgi_keys_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_logs_cgi_SOURCES = admin-cgi/main_logs.c
admin_cgi_logs_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_metrics_cgi_SOURCES = admin-cgi/main_metrics.c
admin_cgi_metrics_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_settings_cgi_SOURCES = admin-cgi/main_settings.c
admin_cgi_settings_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_dashboard_cgi_SOURCES = admin-cgi/main_dashboard.c
admin_cgi_dashboard_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_tasks_cgi_SOURCES = admin-cgi/main_tasks.c
admin_cgi_tasks_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_keytest_cgi_SOURCES = admin-cgi/main_keytest.c
admin_cgi_keytest_cgi_LDADD = $(ADMIN_LIBS)
admin_cgi_version_cgi_SOURCES = admin-cgi/main_version.c
admin_cgi_version_cgi_LDADD = $(ADMIN_LIBS)

# The command line.
bin_PROGRAMS += admin-cgi/gpt-load
admin_cgi_gpt_load_SOURCES = \
	admin-cgi/cli.h \
	admin-cgi/cli_backup.c \
	admin-cgi/cli_check.c \
	admin-cgi/cli_env.c \
	admin-cgi/cli_groups.c \
	admin-cgi/cli_import.c \
	admin-cgi/cli_keys.c \
	admin-cgi/cli_logs.c \
	admin-cgi/cli_rekey.c \
	admin-cgi/cli_state.c \
	admin-cgi/cli_status.c \
	admin-cgi/cli_tools.c \
	admin-cgi/gpt-load.c
admin_cgi_gpt_load_LDADD = admin-cgi/libadmin.a $(CORE_LIBS) $(CURL_LIBS)

# What the API is, for clients of it and for the tests.
openapidir = $(pkgdatadir)
dist_openapi_DATA = admin-cgi/openapi.json
