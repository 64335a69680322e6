# SPDX-License-Identifier: MIT
"""Databases and Redis servers of the tests' own: real ones, on a socket in a folder of
their own under /tmp, that can be stopped, killed, held and started again. The machine's
own are never touched.

    with MariaDB() as engine:           # or PostgreSQL(), Redis()
        dsn = engine.new_database()     # for DATABASE_DSN (Redis: engine.dsn(db=2))
        engine.kill(); engine.start()   # kill -9, and the same one again
        engine.pause(); engine.resume() # it hangs, and goes on
        engine.stop(); engine.start()   # told to end
        engine.query("SELECT 1", dsn)   # rows of texts, None for NULL

One that could not be started raises; whether the machine has the programs at all is
`MariaDB.is_there()`. Each ends with the process, and with the thread, that started it,
however that ends."""

import csv
import ctypes
import glob
import itertools
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .wait import until

SEARCH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/libexec"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_numbers = itertools.count(1)


def find(name):
    return shutil.which(name, path=SEARCH)


class Engine:
    """What the three have in common."""

    name = ""
    ready = ""  # in the line of its log that says so
    user = None  # as whom it runs; None: as we do
    ends_by = signal.SIGTERM
    dies_with_us = signal.SIGKILL

    def __init__(self, *arguments):
        """`arguments` are added to the server's command line."""
        self.more = arguments
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"gpt-load-{self.name}-"))
        self.folder.chmod(0o755)  # whoever the programs run as
        self.socket = self.folder / "socket"
        self.log = self.folder / "server.log"
        self.process = None
        self.paused = False
        try:
            self.install()
            self.start()
        except BaseException:
            self.remove()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()

    # --- for the subclasses ---

    @classmethod
    def programs(cls):
        return []

    def install(self):
        """Once, before the first start."""

    def command(self):
        raise NotImplementedError

    def answers(self):
        """Whether it is ready; asked for until it is."""
        raise NotImplementedError

    # --- life ---

    @classmethod
    def is_there(cls):
        return all(cls.programs())

    def _spawn(self, arguments, **rest):
        def in_the_child():
            _libc.prctl(PR_SET_PDEATHSIG, self.dies_with_us)
        account = pwd.getpwnam(self.user) if self.user and os.geteuid() == 0 else None
        if account:
            rest.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        return subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL,
                                cwd=self.folder, preexec_fn=in_the_child, **rest)

    def _run(self, *arguments):
        with open(self.log, "ab") as log:
            process = self._spawn(arguments, stdout=log, stderr=log)
            assert process.wait(120) == 0, self.log.read_text(errors="replace")

    def start(self, wait=True):
        """Does nothing when it runs. wait=False: it may not be ready yet."""
        self.resume()
        if self.runs():
            return
        with open(self.log, "ab") as log:
            self.process = self._spawn(self.command(), stdout=log, stderr=log)
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            assert self.runs(), self.log.read_text(errors="replace")[-4000:]
            return self.answers()
        until(ready, f"{self.name} is ready", 60)

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def _end(self, sign):
        if self.runs():
            self.process.send_signal(sign)
            self.resume()
            self.process.wait(60)
        self.process = None

    def stop(self):
        """It is told to end, and has ended."""
        self._end(self.ends_by)

    def kill(self):
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self):
        """It keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        if self.paused and self.runs():
            self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def remove(self):
        self._end(self.dies_with_us)
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDB(Engine):
    name = "mariadb"
    client = find("mariadb")

    @classmethod
    def programs(cls):
        return [find("mariadbd"), find("mariadb-install-db"), cls.client]

    def _as_us(self):
        return ["--user=root"] if os.geteuid() == 0 else []

    def _places(self):
        """Not /tmp for temporary tables: one that starts clears away those of all others."""
        temporary = pathlib.Path(self.folder) / "tmp"
        temporary.mkdir(exist_ok=True)
        return [f"--datadir={self.folder}/data", f"--tmpdir={temporary}"]

    def install(self):
        self._run(find("mariadb-install-db"), "--no-defaults", *self._places(),
                  "--auth-root-authentication-method=normal", "--skip-test-db",
                  "--innodb-log-file-size=16M", *self._as_us())

    def command(self):
        return [find("mariadbd"), "--no-defaults", *self._places(),
                f"--socket={self.socket}", f"--pid-file={self.folder}/pid",
                "--skip-networking", "--innodb-buffer-pool-size=32M",
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-log-file-size=16M", "--skip-log-bin", *self._as_us(), *self.more]

    def _ask(self, sql, database):
        return subprocess.run([self.client, "--no-defaults", f"--socket={self.socket}",
                               "--user=root", "--batch", "--skip-column-names", "-e", sql,
                               database], text=True, capture_output=True, timeout=60,
                              check=False)

    def answers(self):
        return self._ask("SELECT 1", "mysql").returncode == 0

    def new_database(self):
        name = f"test_{next(_numbers)}"
        self.query(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"root@unix({self.socket})/{name}?charset=utf8mb4&parseTime=True&loc=Local"

    def query(self, sql, dsn=None):
        database = re.search(r"\)/(\w+)", dsn)[1] if dsn else "mysql"
        done = self._ask(sql, database)
        assert done.returncode == 0, done.stderr
        return [tuple(None if v == "NULL" else v for v in line.split("\t"))
                for line in done.stdout.splitlines()]


class PostgreSQL(Engine):
    name = "postgresql"
    user = "nobody"  # it refuses to run as root
    ends_by = signal.SIGINT  # without waiting for its clients
    dies_with_us = signal.SIGQUIT
    folders = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
               "/usr/local/bin", "/usr/bin"]

    @classmethod
    def _program(cls, name):
        for pattern in cls.folders:
            for path in sorted(glob.glob(f"{pattern}/{name}"), reverse=True):
                return path
        return None

    @classmethod
    def programs(cls):
        return [cls._program(name) for name in ("initdb", "postgres", "psql")]

    def install(self):
        self.held = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._run(self._program("initdb"), "-D", self.folder / "data", "-A", "trust",
                  "-U", "tester", "--no-sync", "--locale=C", "-E", "UTF8")

    def command(self):
        return [self._program("postgres"), "-D", self.folder / "data", "-k", self.folder,
                "-c", "listen_addresses=", "-c", "shared_buffers=32MB", "-c", "fsync=off",
                *self.more]

    def _family(self):
        """Those that serve its connections, and its helpers."""
        if not self.runs():
            return []
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
                               text=True, capture_output=True, check=False)
        return [int(pid) for pid in found.stdout.split()]

    @staticmethod
    def _tell(family, sign):
        for pid in family:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass

    def kill(self):
        """kill -9 of the server and of those that serve its connections, which would
        else go on for a moment."""
        family = self._family()
        super().kill()
        self._tell(family, signal.SIGKILL)
        until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in family),
              "its processes are gone")

    def pause(self):
        """With those that serve its connections."""
        super().pause()
        self.held = self._family()
        self._tell(self.held, signal.SIGSTOP)

    def resume(self):
        self._tell(self.held, signal.SIGCONT)
        self.held = []
        super().resume()

    def _ask(self, sql, database):
        return subprocess.run([self._program("psql"), "--no-psqlrc", "--quiet", "-h", self.folder,
                               "-U", "tester", "-d", database, "--csv", "--tuples-only",
                               "-P", "null=\\N", "-v", "ON_ERROR_STOP=1", "-c", sql],
                              text=True, capture_output=True, timeout=60, check=False)

    def answers(self):
        return self._ask("SELECT 1", "postgres").returncode == 0

    def new_database(self):
        name = f"test_{next(_numbers)}"
        self.query(f"CREATE DATABASE {name}")
        return f"postgres://tester@/{name}?host={self.folder}"

    def query(self, sql, dsn=None):
        database = re.search(r"@/(\w+)", dsn)[1] if dsn else "postgres"
        done = self._ask(sql, database)
        assert done.returncode == 0, done.stderr
        return [tuple(None if v == "\\N" else v for v in row)
                for row in csv.reader(done.stdout.splitlines())]


class Redis(Engine):
    name = "redis"

    @classmethod
    def programs(cls):
        return [find("redis-server")]

    def command(self):
        return [find("redis-server"), "--port", "0", "--unixsocket", self.socket,
                "--unixsocketperm", "777", "--dir", self.folder, "--save", "",
                "--appendonly", "no", *self.more]

    def dsn(self, db=0):
        return f"unix://{self.socket}?db={db}"

    def say(self, command, timeout=5):
        """The answer to one inline command, as it comes over the wire; None: there is
        nobody."""
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(timeout)
                sock.connect(str(self.socket))
                sock.sendall(command.encode() + b"\r\n")
                return sock.recv(65536)
            except OSError:
                return None

    def answers(self):
        return self.say("PING") == b"+PONG\r\n"

    def kill(self):
        super().kill()
        self.socket.unlink(missing_ok=True)
