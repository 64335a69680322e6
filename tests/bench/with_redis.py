# SPDX-License-Identifier: MIT
"""What it costs to have the key pool in Redis, on a Unix socket: a second gateway beside
the first, asked in turn with it; and how long an empty Redis takes to fill."""

import http.client
import os
import socket
import time

import measure
from lib.engines import Redis
from lib.gateway import Gateway
from lib.manykeys import copy_key

MANY_KEYS = 1_000_000
PAIRS, WARM_UP = 5000, 200
POOLS = ("embedded", "redis")


def run(bench, prepare):
    """`prepare` makes the groups."""
    if not Redis.is_there():
        raise SystemExit("the bench needs redis-server")
    with Redis() as redis:
        other = Gateway(workers=os.cpu_count(), MAX_CONCURRENT_REQUESTS=20000,
                        REDIS_DSN=redis.dsn())
        with other:
            prepare(other, bench.servers)
            return {**latency(bench, other), **load(other, redis)}


class Asker:
    """One client of one gateway, on a kept connection."""

    def __init__(self, port, path, key, body):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.path, self.body = path, body
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.errors = 0

    def ask(self):
        """µs from the request to its whole answer."""
        began = time.perf_counter_ns()
        self.connection.request("POST", self.path, self.body, self.headers)
        response = self.connection.getresponse()
        response.read()
        self.errors += response.status != 200
        return (time.perf_counter_ns() - began) / 1000


def latency(bench, other):
    """One request after another, to the one and the other in turn, so that a busy moment
    of the machine hits both; which of them begins changes too."""
    _, path = bench.port_and_path("gateway")
    body = bench.body.read_bytes()
    askers = {pool: Asker(port, path, bench.key, body) for pool, port
              in zip(POOLS, (bench.gateway.port, other.port), strict=True)}
    got = {pool: [] for pool in POOLS}
    for i in range(WARM_UP + PAIRS):
        for pool in POOLS[::-1] if i % 2 else POOLS:
            took = askers[pool].ask()
            if i >= WARM_UP:
                got[pool].append(took)
    p50 = {pool: measure.median(times) for pool, times in got.items()}
    return {"p50_us": p50, "added_p50_us": p50["redis"] - p50["embedded"],
            "p10_us": {pool: sorted(times)[PAIRS // 10] for pool, times in got.items()},
            "errors": sum(one.errors for one in askers.values())}


def load(gateway, redis):
    """Of `gpt-load prepare` with an empty Redis: as a start that finds it so."""
    gateway.api.create_group("http://127.0.0.1:9", name="many", keys=["sk-1"])
    gateway.stop_web()
    gateway.stop_master()
    copy_key(gateway.data / "gpt-load.db", "sk-1", MANY_KEYS - 1)
    redis.say("FLUSHALL")
    began = time.monotonic()
    done = gateway.command("prepare")
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"prepare failed: {done.stderr}")
    return {"keys": MANY_KEYS, "load_seconds": seconds}
