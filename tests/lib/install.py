# SPDX-License-Identifier: MIT
"""An installation: `make install` of the build under test, and its systemd units, run
the way they say where no systemd runs."""

import os
import pathlib
import shlex
import signal
import socket
import subprocess

from .gateway import BUILD

# What systemd would give; the rest is in the unit.
PASSED_ON = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


def make(*targets, **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(["make", "-s", "-C", BUILD, *targets, *words], check=True, text=True,
                          capture_output=True, timeout=300, stdin=subprocess.DEVNULL)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*")
                  if path.is_file() or path.is_symlink())


class Unit:
    """A unit file: its values as systemd reads them (a key may come again)."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.values = {}
        section = None
        for line in self.path.read_text().splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;":
                name, value = (part.strip() for part in line.split("=", 1))
                self.values.setdefault((section, name), []).append(value)

    def all(self, section, name):
        return self.values.get((section, name), [])

    def one(self, section, name):
        (value,) = self.all(section, name)
        return value


class Service:
    """A service and its socket: listen(), start(), reload(), stop(). The socket stays
    while the service restarts. `at` stands in for the path in the unit; `within` is what
    runs commands elsewhere; `owner` of the socket: user and group, as numbers."""

    def __init__(self, folder, name, at, environment, log, within=(), owner=None):
        self.unit = Unit(folder / f"{name}.service")
        self.socket_unit = Unit(folder / f"{name}.socket")
        self.at = at
        self.log = log
        self.within = list(within)
        self.owner = owner
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.environment |= environment
        self.listening = None
        self.process = None

    def listen(self):
        assert self.socket_unit.one("Socket", "ListenStream").endswith(self.at.name)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.at))
        self.at.chmod(int(self.socket_unit.one("Socket", "SocketMode"), 8))
        if self.owner:
            os.chown(self.at, *self.owner)
        self.listening.listen(int(self.socket_unit.one("Socket", "Backlog")))
        return self

    def start(self):
        assert self.unit.one("Service", "StandardInput") == "socket"
        with open(self.log, "ab") as log:
            for line in self.unit.all("Service", "ExecStartPre"):
                subprocess.run(self.within + shlex.split(line), env=self.environment, cwd="/",
                               check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            self.process = subprocess.Popen(
                self.within + shlex.split(self.unit.one("Service", "ExecStart")), cwd="/",
                env=self.environment, stdin=self.listening, stdout=log, stderr=log)
        return self

    def reload(self):
        assert self.unit.one("Service", "ExecReload") == "/bin/kill -HUP $MAINPID"
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """KillMode=mixed: the signal goes to the main process only."""
        assert self.unit.one("Service", "KillMode") == "mixed"
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(30)
            assert code == 0, f"{code}: {self.log.read_text()}"
            self.process = None

    def end(self):
        try:
            self.stop()
        finally:
            self.listening.close()
            self.at.unlink(missing_ok=True)
