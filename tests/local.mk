# SPDX-License-Identifier: MIT
# tests: unit (cmocka), fuzz corpora replayed, bench. The program tests are pytest's.

# What every program without an _LDADD of its own links with; --as-needed drops
# what one of them does not use.
LDADD = $(CORE_LIBS) $(CMOCKA_LIBS) $(CURL_LIBS) $(EVENT_LIBS) $(FCGI_LIBS)

LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL) $(top_srcdir)/build-aux/cmocka-tap.sh
EXTRA_DIST += build-aux/cmocka-tap.sh
AM_TESTS_ENVIRONMENT = CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT;

# --- unit: each is tests/unit/test_X.c ---------------------------------------
UNIT_TESTS = \
	tests/unit/test_admin \
	tests/unit/test_admin_dashboard \
	tests/unit/test_admin_data \
	tests/unit/test_admin_rows \
	tests/unit/test_arena \
	tests/unit/test_await \
	tests/unit/test_base \
	tests/unit/test_buf \
	tests/unit/test_cause \
	tests/unit/test_cgi \
	tests/unit/test_channel \
	tests/unit/test_conf \
	tests/unit/test_cors \
	tests/unit/test_counters \
	tests/unit/test_crypt \
	tests/unit/test_db \
	tests/unit/test_db_bounded \
	tests/unit/test_db_mysql \
	tests/unit/test_db_mysql_dsn \
	tests/unit/test_db_pgsql \
	tests/unit/test_db_pgsql_text \
	tests/unit/test_db_process \
	tests/unit/test_db_text \
	tests/unit/test_envfile \
	tests/unit/test_errtext \
	tests/unit/test_flush \
	tests/unit/test_gate \
	tests/unit/test_group \
	tests/unit/test_header \
	tests/unit/test_headerrule \
	tests/unit/test_jobs \
	tests/unit/test_json \
	tests/unit/test_jsonscan \
	tests/unit/test_key \
	tests/unit/test_lease \
	tests/unit/test_localpool \
	tests/unit/test_log \
	tests/unit/test_logrow \
	tests/unit/test_migrate \
	tests/unit/test_modellist \
	tests/unit/test_pool \
	tests/unit/test_pool_keys \
	tests/unit/test_pool_kill \
	tests/unit/test_pool_lmdb \
	tests/unit/test_publish \
	tests/unit/test_records \
	tests/unit/test_rollup \
	tests/unit/test_setting \
	tests/unit/test_snapshot \
	tests/unit/test_spool \
	tests/unit/test_sse \
	tests/unit/test_str \
	tests/unit/test_task \
	tests/unit/test_turns \
	tests/unit/test_url \
	tests/unit/test_usage \
	tests/unit/test_validate
if HAVE_REDIS
UNIT_TESTS += \
	tests/unit/test_node \
	tests/unit/test_pool_away \
	tests/unit/test_pool_loop \
	tests/unit/test_pool_redis
endif
if HAVE_CMOCKA
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif
tests_unit_test_admin_SOURCES = tests/unit/test_admin.c \
	tests/unit/admin_kit.c tests/unit/admin_kit.h
tests_unit_test_admin_LDADD = admin-cgi/libadmin.a $(LDADD)
tests_unit_test_admin_data_SOURCES = tests/unit/test_admin_data.c \
	tests/unit/admin_kit.c tests/unit/admin_kit.h
tests_unit_test_admin_data_LDADD = admin-cgi/libadmin.a $(LDADD)
tests_unit_test_errtext_SOURCES = tests/unit/test_errtext.c
tests_unit_test_errtext_LDADD = admin-cgi/libadmin.a $(LDADD)
tests_unit_test_db_mysql_SOURCES = tests/unit/test_db_mysql.c \
	tests/unit/mysql_kit.c tests/unit/mysql_kit.h
tests_unit_test_db_pgsql_SOURCES = tests/unit/test_db_pgsql.c \
	tests/unit/pgsql_kit.c tests/unit/pgsql_kit.h
POOL_KIT = tests/unit/pool_kit.c tests/unit/pool_kit.h \
	tests/unit/redis_kit.c tests/unit/redis_kit.h
tests_unit_test_admin_dashboard_SOURCES = tests/unit/test_admin_dashboard.c \
	tests/unit/admin_kit.c tests/unit/admin_kit.h
tests_unit_test_admin_dashboard_LDADD = admin-cgi/libadmin.a $(LDADD)
tests_unit_test_admin_rows_SOURCES = tests/unit/test_admin_rows.c \
	tests/unit/admin_kit.c tests/unit/admin_kit.h
tests_unit_test_admin_rows_LDADD = admin-cgi/libadmin.a $(LDADD)
tests_unit_test_records_SOURCES = tests/unit/test_records.c fcgi-app/records.c
tests_unit_test_pool_SOURCES = tests/unit/test_pool.c $(POOL_KIT)
tests_unit_test_pool_keys_SOURCES = tests/unit/test_pool_keys.c $(POOL_KIT)
tests_unit_test_pool_kill_SOURCES = tests/unit/test_pool_kill.c $(POOL_KIT)
REDIS_POOL_KIT = $(POOL_KIT) \
	tests/unit/redis_pool_kit.c tests/unit/redis_pool_kit.h
tests_unit_test_pool_away_SOURCES = tests/unit/test_pool_away.c $(REDIS_POOL_KIT)
tests_unit_test_pool_loop_SOURCES = tests/unit/test_pool_loop.c $(REDIS_POOL_KIT)
tests_unit_test_pool_redis_SOURCES = tests/unit/test_pool_redis.c $(REDIS_POOL_KIT)
tests_unit_test_node_SOURCES = tests/unit/test_node.c \
	tests/unit/redis_kit.c tests/unit/redis_kit.h
tests_unit_test_pool_lmdb_SOURCES = tests/unit/test_pool_lmdb.c $(POOL_KIT)

# --- fuzz: libFuzzer drivers, or programs that replay the corpus --------------
FUZZERS = \
	tests/fuzz/fuzz_jsonscan \
	tests/fuzz/fuzz_logrow \
	tests/fuzz/fuzz_records \
	tests/fuzz/fuzz_sse \
	tests/fuzz/fuzz_usage
check_PROGRAMS += $(FUZZERS)
if FUZZING
FUZZER_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
FUZZER_MAIN =
else
FUZZER_LINK = $(AM_LDFLAGS)
FUZZER_MAIN = tests/fuzz/replay.c
TESTS += $(FUZZERS)
endif
tests_fuzz_fuzz_jsonscan_SOURCES = tests/fuzz/fuzz_jsonscan.c $(FUZZER_MAIN)
tests_fuzz_fuzz_jsonscan_LDFLAGS = $(FUZZER_LINK)
tests_fuzz_fuzz_logrow_SOURCES = tests/fuzz/fuzz_logrow.c $(FUZZER_MAIN)
tests_fuzz_fuzz_logrow_LDFLAGS = $(FUZZER_LINK)
tests_fuzz_fuzz_records_SOURCES = tests/fuzz/fuzz_records.c fcgi-app/records.c $(FUZZER_MAIN)
tests_fuzz_fuzz_records_LDFLAGS = $(FUZZER_LINK)
tests_fuzz_fuzz_sse_SOURCES = tests/fuzz/fuzz_sse.c $(FUZZER_MAIN)
tests_fuzz_fuzz_sse_LDFLAGS = $(FUZZER_LINK)
tests_fuzz_fuzz_usage_SOURCES = tests/fuzz/fuzz_usage.c $(FUZZER_MAIN)
tests_fuzz_fuzz_usage_LDFLAGS = $(FUZZER_LINK)

# --- bench: built by `make bench` only ----------------------------------------
EXTRA_PROGRAMS = \
	tests/bench/pick \
	tests/bench/rate \
	tests/bench/sse_server \
	tests/bench/streams
CLEANFILES += $(EXTRA_PROGRAMS) bench.json
tests_bench_rate_SOURCES = tests/bench/rate.c tests/bench/bench.c tests/bench/bench.h
tests_bench_sse_server_SOURCES = tests/bench/sse_server.c tests/bench/bench.c tests/bench/bench.h
tests_bench_streams_SOURCES = tests/bench/streams.c tests/bench/bench.c tests/bench/bench.h

# BENCHFLAGS: see tests/bench/run.py --help.
# Not as prerequisites: `all` runs a make of its own, and two would write one library.
bench:
	$(MAKE) all
	$(MAKE) $(EXTRA_PROGRAMS)
	GPT_LOAD_BUILD=$(abs_top_builddir) PYTHONDONTWRITEBYTECODE=1 \
		python3 $(srcdir)/tests/bench/run.py $(BENCHFLAGS)

# --- style and static analysis ------------------------------------------------
lint: $(BUILT_SOURCES)
	cd $(srcdir) && CC='$(CC)' BUILDDIR='$(abs_top_builddir)' tests/lint.sh

.PHONY: tidy
tidy: $(BUILT_SOURCES)
	cd $(srcdir) && clang-tidy --quiet lib/*.c fcgi-app/*.c admin-cgi/*.c -- \
		-std=gnu17 -I$(abs_top_srcdir) -I$(abs_top_builddir) -DHAVE_CONFIG_H \
		-DSYSCONFDIR='""' -DLOCALSTATEDIR='""'

# What is listed here by pattern runs as it stands: test.sh takes it from the tree.
PYTEST_FILES = $(wildcard $(srcdir)/tests/*.py $(srcdir)/tests/lib/*.py \
	$(srcdir)/tests/program/*.py $(srcdir)/tests/servers/*.py $(srcdir)/tests/page/*.py $(srcdir)/tests/program/sdk/*.mjs \
	$(srcdir)/tests/program/sdk/*.json)
EXTRA_DIST += $(PYTEST_FILES) tests/README.md tests/pytest.ini tests/requirements.in \
	tests/requirements.txt tests/program/data
EXTRA_DIST += .clang-format .clang-tidy .editorconfig tests/lint.sh \
	tests/unit/httpmock.h tests/unit/sandbox.h \
	tests/fuzz/corpus tests/fuzz/replay.c \
	tests/bench/chat.lua tests/bench/measure.py tests/bench/provider.conf \
	tests/bench/proxy.conf tests/bench/run.py tests/bench/servers.py tests/bench/table.py \
	tests/bench/with_redis.py
