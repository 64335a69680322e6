# SPDX-License-Identifier: MIT
"""./start.sh while the database or Redis is away: it says so, waits, and serves when it
comes."""

import threading

import pytest

from lib.client import Client
from lib.engines import MariaDB, Redis
from lib.ports import free_port
from lib.start import started
from lib.wait import until


@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.parametrize("away", ["database", "redis"])
def test_start_sh_is_ready_when_what_it_waits_for_comes(reachable, away):
    port = free_port()
    with MariaDB() as database, Redis() as redis:
        dsn = database.new_database()
        engine = redis if away == "redis" else database
        engine.kill()
        log = reachable / "start.log"
        seen = []
        over = threading.Event()

        def come():
            until(lambda: log.exists() and "waiting: " in log.read_text(),
                  "start.sh says that it waits", 400)
            seen.append(log.read_text())
            engine.start()
            over.wait()  # a server ends with the thread that started it
        helper = threading.Thread(target=come)
        helper.start()
        try:
            with started(reachable, port, DATABASE_DSN=dsn, REDIS_DSN=redis.dsn()) as (process, _):
                assert Client("127.0.0.1", port).request("GET", "/health").status == 200
                text = log.read_text()
                process.terminate()
                assert process.wait(30) == 0
        finally:
            over.set()
            helper.join()
    variable = "REDIS_DSN" if away == "redis" else "DATABASE_DSN"
    assert text.count(f"cannot start yet, waiting: {variable}: ") == 1
    assert "ready: " not in seen[0]
