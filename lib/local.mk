# SPDX-License-Identifier: MIT
# lib: what both halves use.
include lib/channel_list.mk

noinst_LIBRARIES += lib/libcore.a
lib_libcore_a_SOURCES = \
	$(CHANNEL_SOURCES) \
	lib/alive.c lib/alive.h \
	lib/arena.c lib/arena.h \
	lib/backup.c lib/backup.h \
	lib/await.c lib/await.h \
	lib/base.c lib/base.h \
	lib/batch.c lib/batch.h \
	lib/buf.c lib/buf.h \
	lib/cause.c lib/cause.h \
	lib/cgi.c lib/cgi.h \
	lib/channel.c lib/channel.h \
	lib/checker.c lib/checker.h \
	lib/clock.c lib/clock.h \
	lib/conf.c lib/conf.h \
	lib/conf_prepare.c \
	lib/conf_rules.c lib/conf_rules.h \
	lib/cors.c lib/cors.h \
	lib/counters.c lib/counters.h \
	lib/crypt.c lib/crypt.h \
	lib/db.c lib/db.h \
	lib/db_driver.h \
	lib/db_mysql.h \
	lib/db_mysql_dsn.c \
	lib/db_sqlite.c lib/db_sqlite.h \
	lib/db_sqlite_conn.c \
	lib/db_text.c \
	lib/envfile.c lib/envfile.h \
	lib/err.c lib/err.h \
	lib/flush.c lib/flush.h \
	lib/gate.c lib/gate.h \
	lib/group.c lib/group.h \
	lib/group_check.c \
	lib/group_columns.c \
	lib/group_input.h \
	lib/group_member.c \
	lib/header.c lib/header.h \
	lib/headerrule.c lib/headerrule.h \
	lib/integration.c lib/integration.h \
	lib/jobs.c lib/jobs.h \
	lib/jobs_once.c \
	lib/jobs_steps.c \
	lib/jobs_work.h \
	lib/json.c lib/json.h \
	lib/jsonedit.c \
	lib/jsonscan.c lib/jsonscan.h \
	lib/key.c lib/key.h \
	lib/key_list.c \
	lib/key_text.c \
	lib/lease.c lib/lease.h \
	lib/localkeys.c lib/localkeys.h \
	lib/localpool.c lib/localpool.h \
	lib/limits.h \
	lib/log.c lib/log.h \
	lib/logrow.c lib/logrow.h \
	lib/migrate.c lib/migrate.h \
	lib/modellist.c lib/modellist.h \
	lib/node.c lib/node.h \
	lib/openai.c lib/openai.h \
	lib/pool.c lib/pool.h \
	lib/pool_lmdb.c lib/pool_lmdb.h \
	lib/pool_lmdb_base.c \
	lib/pool_lmdb_check.c \
	lib/pool_lmdb_hot.c \
	lib/pool_lmdb_keys.c \
	lib/pool_lmdb_look.c \
	lib/pool_lmdb_meta.c \
	lib/pool_store.h \
	lib/probe.c lib/probe.h \
	lib/proxyurl.c lib/proxyurl.h \
	lib/publish.c lib/publish.h \
	lib/redact.c \
	lib/rekey.c lib/rekey.h \
	lib/rekey_logs.c \
	lib/rollup.c lib/rollup.h \
	lib/rollup_fill.c \
	lib/retention.c lib/retention.h \
	lib/sched.c lib/sched.h \
	lib/segment.c lib/segment.h \
	lib/setting.c lib/setting.h \
	lib/setting_json.c lib/setting_json.h \
	lib/snapshot.c lib/snapshot.h \
	lib/snapshot_compile.c \
	lib/snapshot_parse.c \
	lib/spool.c lib/spool.h \
	lib/sse.c lib/sse.h \
	lib/stored.c lib/stored.h \
	lib/str.c lib/str.h \
	lib/survey.c lib/survey.h \
	lib/survey_plan.c \
	lib/task.c lib/task.h \
	lib/task_report.c lib/task_store.h \
	lib/task_run.c \
	lib/url.c lib/url.h \
	lib/usage.c lib/usage.h \
	lib/validate.c lib/validate.h \
	lib/vendor.c lib/vendor.h \
	lib/where.c lib/where.h \
	lib/writeback.c
# PostgreSQL: texts are built everywhere, the driver where libpq's header is.
lib_libcore_a_SOURCES += lib/db_pgsql.h lib/db_pgsql_conn.h lib/db_pgsql_text.c
if HAVE_PGSQL
AM_CPPFLAGS += $(PGSQL_CFLAGS) -DHAVE_PGSQL
lib_libcore_a_SOURCES += lib/db_pgsql.c lib/db_pgsql_conn.c
endif
nodist_lib_libcore_a_SOURCES = lib/sql_text.h
if HAVE_REDIS
lib_libcore_a_SOURCES += \
	lib/pool_redis.c lib/pool_redis.h \
	lib/pool_redis_away.c \
	lib/pool_redis_conn.c \
	lib/pool_redis_dsn.c \
	lib/pool_redis_hot.c \
	lib/pool_redis_keys.c \
	lib/pool_redis_look.c \
	lib/pool_redis_loop.c \
	lib/pool_redis_meta.c \
	lib/pool_redis_script.c \
	lib/pool_redis_watch.c
nodist_lib_libcore_a_SOURCES += lib/lua_text.h
REDIS_LIBS = $(HIREDIS_LIBS) $(EVENT_LIBS)
endif

# The library itself is loaded at run time: only its headers are needed here.
if HAVE_MYSQL
lib_libcore_a_SOURCES += \
	lib/db_mysql.c \
	lib/db_mysql_load.c \
	lib/db_mysql_session.c lib/db_mysql_session.h
AM_CPPFLAGS += $(MYSQL_CFLAGS)
endif

# The SQL files become C strings, so that a program needs no file at run time.
BUILT_SOURCES += lib/sql_text.h
CLEANFILES += lib/sql_text.h
SQL_FILES = $(wildcard $(srcdir)/sql/schema.*.sql) $(wildcard $(srcdir)/sql/migrations/*.sql)
EXTRA_DIST += sql build-aux/embed.awk
lib/sql_text.h: $(SQL_FILES) $(srcdir)/build-aux/embed.awk
	$(AM_V_GEN)$(MKDIR_P) lib && \
	$(AWK) -f $(srcdir)/build-aux/embed.awk $(SQL_FILES) >$@.tmp && mv $@.tmp $@

# So do the scripts that run in Redis.
BUILT_SOURCES += lib/lua_text.h
CLEANFILES += lib/lua_text.h
LUA_FILES = $(wildcard $(srcdir)/lib/redis/*.lua)
EXTRA_DIST += lib/redis
lib/lua_text.h: $(LUA_FILES) $(srcdir)/build-aux/embed.awk
	$(AM_V_GEN)$(MKDIR_P) lib && \
	$(AWK) -v table=lua_texts -v from=lib/redis/ -f $(srcdir)/build-aux/embed.awk \
		$(LUA_FILES) >$@.tmp && mv $@.tmp $@

# --as-needed leaves out what a program has no use for.
CORE_LIBS = lib/libcore.a $(CURL_LIBS) $(SQLITE_LIBS) $(LMDB_LIBS) $(JSON_LIBS) $(CRYPTO_LIBS) $(ZLIB_LIBS) \
	$(REDIS_LIBS)

# The places it looks at are flags of the compiler, which another --prefix changes.
lib/conf.$(OBJEXT): Makefile
