/* SPDX-License-Identifier: MIT
 *
 * Starts postgres and waits for the line that says it is ready. It refuses to run
 * as root, and is then the user nobody's. It ends with the test, however that ends.
 */
#include "tests/unit/pgsql_kit.h"
#include "lib/db_driver.h"
#include "tests/unit/sandbox.h"

#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct {
	char dir[64];
	char data[80];
	char dsn[256];
	char initdb[256];
	char postgres[256];
	pid_t pid;
	FILE *log;
} kit;

static bool
find_programs(void)
{
	static const char *const patterns[] = {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
					       "/usr/local/pgsql/bin", "/usr/local/bin",
					       "/usr/bin"};
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(patterns) && !found; i++) {
		glob_t all = {0};

		if (glob(patterns[i], 0, NULL, &all) == 0) {
			const char *folder = all.gl_pathv[all.gl_pathc - 1];

			(void)snprintf(kit.initdb, sizeof(kit.initdb), "%s/initdb", folder);
			(void)snprintf(kit.postgres, sizeof(kit.postgres), "%s/postgres", folder);
			found = access(kit.initdb, X_OK) == 0 && access(kit.postgres, X_OK) == 0;
		}
		globfree(&all);
	}
	return found;
}

static bool
become_unprivileged(void)
{
	const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;

	if (geteuid() != 0)
		return true;
	return nobody != NULL && setgid(nobody->pw_gid) == 0 && setuid(nobody->pw_uid) == 0;
}

/* Its output goes to `out`. */
static pid_t
start(const char *const *argv, int out)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char *const *args;

		memcpy(&args, &argv, sizeof(args));
		if (!become_unprivileged() || chdir(kit.dir) < 0)
			_exit(125);
		(void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
		if (getppid() != parent || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(126);
		(void)execv(argv[0], args);
		_exit(127);
	}
	return pid;
}

static void
make_data(void)
{
	const char *const argv[] = {kit.initdb, "-D",        kit.data,     "-A", "trust", "-U",
				    "tester",   "--no-sync", "--locale=C", "-E", "UTF8",  NULL};
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status;
	pid_t pid = start(argv, out);

	(void)close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

void
pgsql_kit_start_server(void)
{
	const char *const argv[] = {kit.postgres,
				    "-D",
				    kit.data,
				    "-k",
				    kit.dir,
				    "-c",
				    "listen_addresses=",
				    "-c",
				    "fsync=off",
				    "-c",
				    "log_min_messages=log",
				    "-c",
				    "log_checkpoints=off",
				    "-c",
				    "shared_buffers=16MB",
				    NULL};
	char line[1024];
	bool ready = false;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	kit.pid = start(argv, ends[1]);
	(void)close(ends[1]);
	kit.log = fdopen(ends[0], "r");
	assert_non_null(kit.log);
	while (!ready && fgets(line, sizeof(line), kit.log) != NULL)
		ready = strstr(line, "ready to accept connections") != NULL;
	assert_true(ready);
}

void
pgsql_kit_stop_server(void)
{
	assert_int_equal(kill(kit.pid, SIGQUIT), 0);
	assert_int_equal(waitpid(kit.pid, NULL, 0), kit.pid);
	(void)fclose(kit.log);
}

static void
make_database(void)
{
	struct errinfo info = {""};
	struct conf conf = {.database_dsn =
				xasprintf("postgres://tester@/postgres?host=%s", kit.dir)};
	struct db *db;

	if (db_open(&conf, &db, &info) != ERR_OK)
		fail_msg("%s", info.text);
	assert_int_equal(db_script(db, "CREATE DATABASE gpt_load_test;"), ERR_OK);
	db_close(db);
	free(conf.database_dsn);
}

bool
pgsql_kit_start(void)
{
	const struct passwd *nobody = getpwnam("nobody");

	if (!find_programs() || (geteuid() == 0 && nobody == NULL))
		return false;
	(void)snprintf(kit.dir, sizeof(kit.dir), "/tmp/gpt-load-pgsql.XXXXXX");
	assert_non_null(mkdtemp(kit.dir));
	if (geteuid() == 0)
		assert_int_equal(chown(kit.dir, nobody->pw_uid, nobody->pw_gid), 0);
	(void)snprintf(kit.data, sizeof(kit.data), "%s/data", kit.dir);
	(void)snprintf(kit.dsn, sizeof(kit.dsn), "postgres://tester@/gpt_load_test?host=%s",
		       kit.dir);
	make_data();
	pgsql_kit_start_server();
	make_database();
	return true;
}

void
pgsql_kit_stop(void)
{
	pgsql_kit_stop_server();
	(void)nftw(kit.dir, sandbox_remove, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
pgsql_kit_dsn(void)
{
	return kit.dsn;
}

const char *
pgsql_kit_dir(void)
{
	return kit.dir;
}
