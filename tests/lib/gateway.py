# SPDX-License-Identifier: MIT
"""The real stack, as it is served: a web server (lighttpd) with its file of
conf-examples/, the master with its workers, api.fcgi, on the databases of this run
(lib/stacks.py); every file in a folder of its own under /tmp."""

import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile

from . import fcgi
from .api import Api
from .client import Client
from .db import Database
from .ports import free_port
from .servers import SERVERS
from .stacks import Stack
from .vendors import CHANNELS
from .wait import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GPT_LOAD_BUILD", ROOT / "build")).resolve()

AUTH_KEY = "test-Auth-Key-zmkq7r2wpx"

NOBODY = 65534


def page_folder(build):
    """The built page: of this build, as a release brings it, or of the usual build."""
    places = (build / "static" / "dist", ROOT / "static" / "page", BUILD / "static" / "dist")
    return next((place for place in places if (place / "index.html").exists()), places[0])


# Nothing of the machine's own settings may reach the programs.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "USER")

# Signs of a program that went wrong, in any log.
ALARMS = re.compile(r"check failed|out of memory|AddressSanitizer|UndefinedBehavior"
                    r"|LeakSanitizer|runtime error:|ThreadSanitizer|core dumped")

MASTER = BUILD / "fcgi-app" / "gpt-load.fcgi"
COMMAND = BUILD / "admin-cgi" / "gpt-load"
LIGHTTPD_CONF = ROOT / "conf-examples" / "lighttpd.conf"
LIGHTTPD = shutil.which("lighttpd", path="/usr/sbin:/usr/bin")


def processes():
    """pid → (parent, command line) of every process."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if stat[0] != "Z":
                found[int(entry.name)] = (int(stat[1]), line.replace("\0", " ").strip())
    return found


def children(pid):
    return sorted(p for p, (parent, _) in processes().items() if parent == pid)


class Gateway:
    """start() … stop(). `environment` overrides or (None) removes variables;
    `descriptors` is the responder's limit of open files. `server` names one of
    lib/servers.py, `stack` one of lib/stacks.py where it is not this run's;
    unprivileged: root runs everything as nobody."""

    def __init__(self, workers=2, web_server=True, descriptors=None, build=BUILD,
                 server="lighttpd", unprivileged=False, stack=None, **environment):
        self.stack = Stack(stack)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gpt-load-test-"))
        self.data = pathlib.Path(environment.get("DATA_DIR", self.folder / "data"))
        self.logs = self.folder / "logs"
        self.logs.mkdir()
        self.port = free_port()
        self.web_server = web_server
        self.server = SERVERS[server]
        self.user = {}
        if unprivileged and os.geteuid() == 0:
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for folder in (self.folder, self.logs):
                os.chown(folder, NOBODY, NOBODY)
        self.descriptors = descriptors
        self.build = build
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.set_environment(
            HOST="127.0.0.1", PORT=self.port, DATA_DIR=self.data, WORKERS=workers,
            AUTH_KEY=AUTH_KEY,
            POOL_SIZE_MB=256,  # allocated whole: many gateways stand at once
            # Short: mod_fcgid cuts a long value off.
            ASAN_OPTIONS=f"log_path={self.logs}/sanitizer:exitcode=86:detect_leaks=1:"
                         "quarantine_size_mb=16",
            UBSAN_OPTIONS=f"log_path={self.logs}/sanitizer:print_stacktrace=1",
            TSAN_OPTIONS=f"log_path={self.logs}/sanitizer:exitcode=86:"
                         "ignore_noninstrumented_modules=1",
            LSAN_OPTIONS="print_suppressions=0", **self.stack.environment,
        )
        self.set_environment(**environment)
        self.web_values = {}  # over those of `gpt-load env`
        self.prepared = None  # how `gpt-load prepare` ended
        self.master = None
        self.api_master = None  # where the web server starts no api.fcgi
        self.web = None
        self.logger = None
        self.client = Client("127.0.0.1", self.port)
        self.api = Api(self.client, self.environment.get("AUTH_KEY", AUTH_KEY))

    def set_environment(self, **variables):
        for name, value in variables.items():
            if value is None:
                self.environment.pop(name, None)
            else:
                self.environment[name] = str(value)

    # --- life ---

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *exc):
        self.stop(failed=kind is not None)

    @property
    def socket(self):
        return self.data / "run" / "responder.sock"

    def command(self, *arguments, **rest):
        """Runs the command line program `gpt-load`."""
        program = self.build / "admin-cgi" / "gpt-load"
        return subprocess.run([program, *arguments], env=self.environment, text=True,
                              capture_output=True, timeout=60, check=False,
                              cwd=self.folder, **self.user, **rest)

    def start(self):
        try:
            self.prepared = self.command("prepare")
            with open(self.logs / "prepare.log", "a") as log:
                log.write(self.prepared.stderr)
            assert self.prepared.returncode == 0, self.prepared.stderr
            self.start_master()
            if self.web_server:
                self.start_web()
        except BaseException:
            self.stop(failed=True)
            raise
        return self

    def _spawn(self, name, *arguments, environment=None, **rest):
        with open(self.logs / f"{name}.log", "ab") as log:
            os.chmod(log.fileno(), 0o666)
            return subprocess.Popen(arguments, **{
                "env": environment or self.environment, "cwd": self.folder,
                "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log,
                **self.user, **rest})

    def _limit_descriptors(self):
        if self.descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptors, self.descriptors))

    def start_master(self):
        self.master = self._spawn("responder", self.build / "fcgi-app" / "gpt-load.fcgi",
                                  "--listen", self.socket,
                                  "--workers", self.environment["WORKERS"],
                                  preexec_fn=self._limit_descriptors)
        until(lambda: self.socket.exists() or self.master.poll() is not None,
              "the responder listens")

    def start_api(self):
        """api.fcgi under a master, for a web server that starts none."""
        socket = self.data / "run" / "api.sock"
        self.api_master = self._spawn("api", self.build / "fcgi-app" / "gpt-load.fcgi",
                                      "--listen", socket, "--workers", "2",
                                      "--run", self.build / "admin-cgi" / "api.fcgi")
        until(lambda: socket.exists() or self.api_master.poll() is not None,
              "the management API listens")

    def start_web(self):
        environment = self.web_environment()
        if not self.server.starts_api and self.api_master is None:
            self.start_api()
        arguments = self.server.arguments(environment, self.data)
        rest = {}
        if not self.server.logs_itself:
            read, write = os.pipe()
            self.logger = self._spawn(self.server.name, self.build / "admin-cgi" / "gpt-load",
                                      "log", self.server.name, stdin=read)
            os.close(read)
            rest = {"stdout": write, "stderr": write}
        self.web = self._spawn(self.server.name, *arguments, environment=environment, **rest)
        if rest:
            os.close(write)
        self.wait_healthy()

    def web_environment(self):
        """The environment that the files of conf-examples/ take their values from."""
        given = self.command("env")
        assert given.returncode == 0, given.stderr
        words = shlex.split(given.stdout)
        command = shlex.quote(str(self.build / "admin-cgi" / "gpt-load"))
        log = shlex.quote(str(self.logs / "lighttpd.log"))
        return {**self.environment, **dict(word.split("=", 1) for word in words if "=" in word),
                "GPT_LOAD_PROGRAMS": str(self.build / "admin-cgi"),
                "GPT_LOAD_RESPONDER": str(self.build / "fcgi-app" / "gpt-load.fcgi"),
                "GPT_LOAD_COMMAND": str(self.build / "admin-cgi" / "gpt-load"),
                "GPT_LOAD_LOGGER": f"exec {command} log lighttpd 2>>{log}",
                "GPT_LOAD_PAGE": str(page_folder(self.build)),
                "GPT_LOAD_ERRORS": str(ROOT / "conf-examples" / "errors"),
                **self.web_values}

    def web_server_configuration(self):
        """lighttpd.conf with every value in its place."""
        return subprocess.run([LIGHTTPD, "-p", "-f", LIGHTTPD_CONF], text=True, check=True,
                              env=self.web_environment(), capture_output=True).stdout

    def health(self):
        """The answer of /health, or None while nothing answers."""
        try:
            return self.client.request("GET", "/health")
        except OSError:
            return None

    def wait_healthy(self):
        def healthy():
            assert self.master is None or self.master.poll() is None, self.log_text()
            assert self.web.poll() is None, self.log_text()
            answer = self.health()
            return answer is not None and answer.status == 200
        until(healthy, "GET /health answers 200")

    def end(self, process, what, deadline=20, sign=signal.SIGTERM):
        """SIGTERM, or another signal, and it must have ended by the deadline."""
        if process is None or process.poll() is not None:
            return
        process.send_signal(sign)
        try:
            process.wait(deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{what} did not end within {deadline} s of being told\n"
                                 + self.log_text()) from None

    def stop_web(self):
        # Apache may wait for its own limit, and then some seconds more.
        self.end(self.web, self.server.name, deadline=45, sign=self.server.graceful)
        self.web = None
        if self.logger is not None:
            self.logger.wait(15)
            self.logger = None
        self.end(self.api_master, "the management API")
        self.api_master = None

    def stop_master(self):
        self.end(self.master, "the master")
        self.master = None

    def stop(self, failed=False):
        try:
            try:
                self.stop_web()
            finally:
                self.end(self.api_master, "the management API")
                self.stop_master()
            if not failed:  # else there is a better report already
                self.check_clean()
        except BaseException:
            failed = True
            raise
        finally:
            self.stack.end()
            if failed:
                print(f"logs are kept in {self.folder}")
            else:
                shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, **environment):
        """Stops, and starts again on the same data with other variables."""
        self.stop_web()
        self.stop_master()
        self.set_environment(**environment)
        self.start()

    # --- looking inside ---

    def log_files(self):
        found = [p for p in self.logs.rglob("*") if p.is_file()]
        return found + [p for p in self.data.rglob("*.log") if p.is_file()]

    def log_text(self):
        return "\n".join(f"--- {p}\n{p.read_text(errors='replace')}" for p in self.log_files())

    def check_clean(self):
        """No sanitizer report, no failed check, no core."""
        text = self.log_text()
        alarm = ALARMS.search(text)
        assert alarm is None, f"{alarm[0]!r} in the logs:\n{text[-20000:]}"
        cores = list(self.folder.rglob("core*"))
        assert not [c for c in cores if c.is_file()], cores

    def workers(self):
        """Process ids of the workers."""
        return children(self.master.pid)

    def pool_files(self):
        """The files of the embedded pool."""
        return list(self.data.glob("pool.*"))

    def pool_contents(self):
        """Every byte that the pool holds, wherever it is."""
        if self.stack.redis:
            return self.stack.redis.contents()
        return b"\n".join(file.read_bytes() for file in self.pool_files())

    def lose_pool(self):
        """The pool's store forgets everything; nothing of the gateway may run."""
        if self.stack.redis:
            self.stack.redis.call("FLUSHDB")
        for file in self.pool_files():
            file.unlink()

    @property
    def database(self):
        """The database behind the programs' back; see lib/db.py."""
        return Database(self.environment.get("DATABASE_DSN", self.data / "gpt-load.db"),
                        self.environment.get("TZ", "Asia/Shanghai"))

    def query(self, sql, *values):
        return self.database.query(sql, *values)

    def execute(self, sql, *values):
        self.database.execute(sql, *values)

    # --- asking ---

    def headers(self, key=None):
        return {"Authorization": f"Bearer {key or self.api.auth_key}"}

    def body_for(self, group, **fields):
        """Path and body of the simplest request of the group's channel."""
        path, body = CHANNELS.get(group.data["channel_type"], CHANNELS["openai"])
        return path, {**body, **fields}

    def open(self, group, path=None, method="POST", headers=None, key=None, **rest):
        """One proxied request, the answer's body still to come.

        Without path and body, the simplest one of the group's channel.
        """
        usual_path, usual_body = self.body_for(group)
        if method == "POST" and not {"json", "body", "chunks"} & rest.keys():
            rest["json"] = usual_body
        heads = self.headers(key)
        heads.update(headers or {})
        return self.client.open(method, group.path(path or usual_path),
                                {n: v for n, v in heads.items() if v is not None}, **rest)

    def ask(self, group, *arguments, **rest):
        with self.open(group, *arguments, **rest) as response:
            response.body
            return response

    def run_cgi(self, program, method, target, value=None, headers=None, body=None, **rest):
        """An admin program as plain CGI."""
        if body is None:
            body = b"" if value is None else json.dumps(value).encode()
        heads = {"Authorization": f"Bearer {self.api.auth_key}",
                 "Content-Type": "application/json", **(headers or {})}
        return fcgi.run_cgi(BUILD / "admin-cgi" / program, method, target, heads, body,
                            self.environment, **rest)

    def run_responder_as_cgi(self, method, target, value):
        """The responder as plain CGI: one process, one request."""
        return fcgi.run_cgi(MASTER, method, target,
                            {**self.headers(), "Content-Type": "application/json"},
                            json.dumps(value).encode(), self.environment)

    def fcgi(self, method, target, headers=None, body=b"", **extra):
        """A request to the responder's own socket, past the web server."""
        return fcgi.request(self.socket, method, target,
                            {**self.headers(), **(headers or {})}, body, **extra)
