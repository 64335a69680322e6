/* SPDX-License-Identifier: MIT
 *
 * Starts mariadbd and waits for the line that says it is ready. It ends with the
 * test, however that ends.
 */
#include "tests/unit/mysql_kit.h"
#include "tests/unit/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static struct {
	char dir[64];
	char socket[128];
	char dsn[256];
	pid_t pid;
	FILE *log;
} kit;

static const char *
find_program(const char *name)
{
	static const char *const folders[] = {"/usr/sbin", "/usr/bin", "/usr/local/sbin",
					      "/usr/local/bin", "/usr/libexec"};
	static char path[128];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
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
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(126);
		(void)execv(argv[0], args);
		_exit(127);
	}
	return pid;
}

static void
install(const char *program, const char *data)
{
	char data_arg[128];
	const char *const argv[] = {program,
				    "--no-defaults",
				    data_arg,
				    "--auth-root-authentication-method=normal",
				    "--skip-test-db",
				    geteuid() == 0 ? "--user=root" : NULL,
				    NULL};
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status;
	pid_t pid;

	(void)snprintf(data_arg, sizeof(data_arg), "--datadir=%s", data);
	pid = start(argv, out);
	(void)close(out);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
start_server(void)
{
	char data_arg[128];
	char socket_arg[160];
	char line[1024];
	bool ready = false;
	int ends[2];
	const char *const argv[] = {find_program("mariadbd"),
				    "--no-defaults",
				    data_arg,
				    socket_arg,
				    "--skip-networking",
				    "--innodb-flush-log-at-trx-commit=0",
				    "--innodb-buffer-pool-size=16M",
				    "--skip-log-bin",
				    geteuid() == 0 ? "--user=root" : NULL,
				    NULL};

	(void)snprintf(data_arg, sizeof(data_arg), "--datadir=%s/data", kit.dir);
	(void)snprintf(socket_arg, sizeof(socket_arg), "--socket=%s", kit.socket);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	kit.pid = start(argv, ends[1]);
	(void)close(ends[1]);
	kit.log = fdopen(ends[0], "r");
	assert_non_null(kit.log);
	while (!ready && fgets(line, sizeof(line), kit.log) != NULL)
		ready = strstr(line, "ready for connections") != NULL;
	assert_true(ready);
}

static void
kill_server(void)
{
	assert_int_equal(kill(kit.pid, SIGKILL), 0);
	assert_int_equal(waitpid(kit.pid, NULL, 0), kit.pid);
	(void)fclose(kit.log);
}

static void
make_database(void)
{
	struct errinfo info = {""};
	struct conf conf = {.database_dsn = xasprintf("root@unix(%s)/mysql", kit.socket)};
	struct db *db;

	if (db_open(&conf, &db, &info) != ERR_OK)
		fail_msg("%s", info.text);
	assert_int_equal(db_script(db, "CREATE DATABASE gpt_load_test CHARACTER SET utf8mb4;"),
			 ERR_OK);
	db_close(db);
	free(conf.database_dsn);
}

bool
mysql_kit_start(void)
{
	char data[80];

	if (find_program("mariadbd") == NULL || find_program("mariadb-install-db") == NULL)
		return false;
	(void)snprintf(kit.dir, sizeof(kit.dir), "/tmp/gpt-load-mysql.XXXXXX");
	assert_non_null(mkdtemp(kit.dir));
	/* Not /tmp: a server that starts clears away the temporary tables of all others. */
	assert_int_equal(setenv("TMPDIR", kit.dir, 1), 0);
	(void)snprintf(data, sizeof(data), "%s/data", kit.dir);
	(void)snprintf(kit.socket, sizeof(kit.socket), "%s/socket", kit.dir);
	(void)snprintf(kit.dsn, sizeof(kit.dsn),
		       "root@unix(%s)/gpt_load_test?charset=utf8mb4&parseTime=True&loc=Local",
		       kit.socket);
	install(find_program("mariadb-install-db"), data);
	start_server();
	make_database();
	return true;
}

void
mysql_kit_stop(void)
{
	kill_server();
	(void)nftw(kit.dir, sandbox_remove, 16, FTW_DEPTH | FTW_PHYS);
}

void
mysql_kit_restart(void)
{
	kill_server();
	start_server();
}

const char *
mysql_kit_dsn(void)
{
	return kit.dsn;
}
