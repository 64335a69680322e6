# SPDX-License-Identifier: MIT
"""On what a gateway stands: SQLite and the embedded pool, MariaDB and Redis, or
PostgreSQL and Redis.

GPT_LOAD_TEST_STACK names the one of a run. The servers are lib/engines.py's, on sockets
in folders of their own; the process that pytest runs in starts them once for all its
workers and ends them, and its environment tells the workers where they are. Each
gateway gets a database and a numbered Redis database of its own."""

import contextlib
import json
import os
import socket

from . import db
from .engines import MariaDB, PostgreSQL, Redis

VARIABLE = "GPT_LOAD_TEST_STACK"
PLACES = "GPT_LOAD_TEST_ENGINES"
REDIS_DATABASES = 4096

# Nothing of a test's data has to outlive the machine.
ENGINES = {
    "mariadb": (MariaDB, ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
                          "--max-connections=2000", "--skip-name-resolve")),
    "pgsql": (PostgreSQL, ("-c", "fsync=off", "-c", "full_page_writes=off",
                           "-c", "max_connections=500")),
    "redis": (Redis, ("--databases", str(REDIS_DATABASES), "--unixsocketperm", "777")),
}
NEEDED = {"sqlite": (), "mariadb": ("mariadb", "redis"), "pgsql": ("pgsql", "redis")}

_running = {}


def name_of_this_run():
    name = os.environ.get(VARIABLE, "sqlite")
    assert name in NEEDED, f"{VARIABLE} is one of {', '.join(NEEDED)}"
    return name


def start(name):
    """What the stack needs, unless it runs already."""
    places = json.loads(os.environ.get(PLACES, "{}"))
    for engine in NEEDED[name]:
        if engine not in places:
            kind, arguments = ENGINES[engine]
            one = _running[engine] = kind(*arguments)
            one.folder.chmod(0o755)  # gateways of other users come here
            places[engine] = str(one.folder if engine == "pgsql" else one.socket)
    os.environ[PLACES] = json.dumps(places)


def stop():
    """Those that this process started."""
    while _running:
        _running.popitem()[1].remove()
    os.environ.pop(PLACES, None)


class RedisDatabase:
    """One numbered database of a Redis on a socket; call(word, …) asks it."""

    def __init__(self, place, number):
        self.place = place
        self.number = number

    def call(self, *words):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(20)
            sock.connect(self.place)
            with sock.makefile("rwb") as wire:
                for line in (("SELECT", self.number), words):
                    parts = [str(word).encode() if not isinstance(word, bytes) else word
                             for word in line]
                    wire.write(b"*%d\r\n" % len(parts))
                    wire.writelines(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
                    wire.flush()
                    answer = self._read(wire)
                return answer

    def _read(self, wire):
        line = wire.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return wire.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [self._read(wire) for _ in range(int(rest))]
        assert kind in b"+:", line
        return rest if kind == b"+" else int(rest)

    def contents(self):
        """Every name and value, as one text of bytes."""
        read = {b"string": ("GET",), b"hash": ("HGETALL",), b"set": ("SMEMBERS",),
                b"zset": ("ZRANGE", 0, -1), b"list": ("LRANGE", 0, -1)}
        found = []
        for key in self.call("KEYS", "*"):
            found.append(key)
            command, *rest = read.get(self.call("TYPE", key), ("EXISTS",))
            value = self.call(command, key, *rest)
            found += value if isinstance(value, list) else [value]
        return b"\n".join(part for part in found if isinstance(part, bytes))


class Stack:
    """A gateway's own databases. `environment` is what it must be told."""

    def __init__(self, name=None):
        self.name = name or name_of_this_run()
        self.environment = {}
        self.redis = None
        self.database = None
        if self.name != "sqlite":
            start(self.name)
            self._make()

    def _make(self):
        places = json.loads(os.environ[PLACES])
        number = RedisDatabase(places["redis"], 0).call("INCR", "gateways")
        number = number % (REDIS_DATABASES - 1) + 1
        self.redis = RedisDatabase(places["redis"], number)
        self.redis.call("FLUSHDB")
        self.database = f"gateway_{number}"
        if self.name == "mariadb":
            server = f"root@unix({places['mariadb']})/"
            self.server, make = server + "mysql", " CHARACTER SET utf8mb4"
            dsn = f"{server}{self.database}?charset=utf8mb4&parseTime=True&loc=Local"
        else:
            dsn = f"postgres://tester@/{self.database}?host={places['pgsql']}"
            self.server, make = dsn.replace(self.database, "postgres"), ""
        self._say(f"CREATE DATABASE {self.database}{make}")
        self.environment = {"DATABASE_DSN": dsn, "REDIS_DSN": f"unix://{places['redis']}"
                                                              f"?db={number}"}

    def _say(self, sql):
        db.Database(self.server, "UTC").execute(sql)

    def end(self):
        """Gives back what the gateway had; does nothing a second time."""
        if self.database is not None:
            force = " WITH (FORCE)" if self.name == "pgsql" else ""
            self._say(f"DROP DATABASE {self.database}{force}")
            self.redis.call("FLUSHDB")
            self.database = None
