# SPDX-License-Identifier: MIT
"""A database or a Redis that goes away under traffic: no proxied request fails for it,
every row is written once when it is back, the management API says what is down.

Real engines, at 200 requests a second, for a few seconds, and with ./test.sh scale
for a minute."""

import contextlib
import sqlite3
import time

import pytest

from lib import vendors
from lib.api import unique
from lib.engines import MariaDB, PostgreSQL, Redis
from lib.gateway import COMMAND, Gateway
from lib.load import Load
from lib.provider import credential
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "it brings every engine itself")
RATE = 200
AWAY = 3.0
LONG = 60.0
ENGINES = {"mariadb": MariaDB, "postgresql": PostgreSQL}
WHO = [*ENGINES, "redis"]
# Which routes need the database; one of each admin program.
ROUTES = ["/api/groups", "/api/keys?group_id={id}", "/api/logs", "/api/settings",
          "/api/dashboard/stats", "/api/tasks/status", "/api/groups/{id}/stats"]


class Sqlite:
    """The gateway's own file, as something that can be away."""

    def __init__(self):
        self.path = None
        self.holder = None

    def query(self, sql, _dsn=None):
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as database:
            return [tuple(None if v is None else str(v) for v in row)
                    for row in database.execute(sql).fetchall()]

    def kill(self):
        """Somebody locks the file, and holds it."""
        self.holder = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        self.holder.execute("BEGIN EXCLUSIVE")

    def start(self):
        if self.holder is not None:
            self.holder.execute("ROLLBACK")
            self.holder.close()
        self.holder = None


@pytest.fixture(scope="module")
def engines():
    """engines(name): started when first asked for, one for all tests of this file."""
    started = {}

    def get(name):
        if name not in started:
            started[name] = ENGINES[name]()
        started[name].start()
        return started[name]
    yield get
    for one in started.values():
        one.remove()


@pytest.fixture
def redis():
    with Redis() as one:
        yield one


class Stack:
    """A gateway with its database (and Redis), a group on it, and what was asked."""

    def __init__(self, gateway, engine, dsn, provider, keys):
        self.gateway = gateway
        self.engine = engine
        self.dsn = dsn
        self.provider = provider
        gateway.api.set(request_log_write_interval_minutes=0)
        self.keys = [unique("sk") for _ in range(keys)]
        self.group = gateway.api.create_group(provider.origin, keys=self.keys,
                                              config={"blacklist_threshold": 2})
        self.asked = 0
        self.wait_configured()

    def wait_configured(self):
        """Every worker has the newest configuration."""
        version = self.number("SELECT value FROM gptl_meta WHERE name = 'version'")
        workers = int(self.gateway.environment["WORKERS"])
        until(lambda: self.gateway.log_text().count(f"version {version} is in force") == workers,
              "all workers have the configuration")

    def ask(self, group=None):
        return self.gateway.ask(group or self.group).status

    @contextlib.contextmanager
    def load(self, rate=RATE):
        """Requests beside what the test does; none may fail."""
        with Load(self.ask, rate) as load:
            until(lambda: load.done > rate / 4, "the load is under way")
            yield load
            done = load.done
            until(lambda: load.done > done + rate / 2, "it goes on afterwards")
        load.check()
        self.asked += load.done

    def number(self, sql):
        return int(self.engine.query(sql, self.dsn)[0][0] or 0)

    def check_rows(self):
        """Every try of the load has one row, and is counted once."""
        tries = len(self.provider.requests)
        until(lambda: self.number("SELECT COUNT(*) FROM request_logs") >= tries,
              f"{tries} rows are written", 60, every=0.2)
        assert self.number("SELECT COUNT(*) FROM request_logs") == tries
        assert self.number("SELECT COUNT(*) FROM request_logs WHERE request_type = 'final'") \
            == self.asked
        assert self.number("SELECT SUM(success_count + failure_count) "
                           "FROM group_hourly_stats") == self.asked
        assert self.number("SELECT SUM(request_count) FROM api_keys") == tries


@pytest.fixture
def stack(engines, start_gateway, provider):
    """stack("mariadb", redis=…): of the test's own."""
    def make(name, keys=10, **environment):
        engine = Sqlite() if name == "sqlite" else engines(name)
        if name != "sqlite":
            environment["DATABASE_DSN"] = engine.new_database()
        gateway = start_gateway(stack="sqlite", MAX_CONCURRENT_REQUESTS=1000,
                                LOG_LEVEL="debug", **environment)
        if name == "sqlite":
            engine.path = gateway.data / "gpt-load.db"
        return Stack(gateway, engine, environment.get("DATABASE_DSN"), provider, keys)
    return make


def stay(seconds):
    """The outage's length is what is tested."""
    time.sleep(seconds)


def end_of(engine, how):
    {"stop": engine.stop, "kill": engine.kill, "pause": engine.pause}[how]() \
        if not isinstance(engine, Sqlite) else engine.kill()


def database_away(stack, how, seconds):
    with stack.load():
        end_of(stack.engine, how)
        try:
            stay(seconds)
        finally:
            stack.engine.start()
    stack.check_rows()


DATABASES = [("sqlite", "lock"), ("mariadb", "stop"), ("mariadb", "kill"),
             ("postgresql", "stop"), ("postgresql", "kill")]


@pytest.mark.parametrize("name, how", DATABASES)
def test_no_request_fails_while_the_database_is_away_and_rows_are_written_once(stack, name, how):
    database_away(stack(name), how, AWAY)


@pytest.mark.scale
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name, how", DATABASES)
def test_the_same_for_a_minute_of_database(stack, name, how):
    database_away(stack(name), how, LONG)


@pytest.mark.parametrize("name", ["mariadb", "postgresql"])
def test_the_management_api_says_that_the_database_is_away_and_comes_back(stack, name):
    one = stack(name)
    api = one.gateway.api
    paths = [route.format(id=one.group.id) for route in ROUTES]
    for path in paths:  # each program has its connection
        assert api.raw("GET", path).status == 200, path
    one.engine.kill()
    try:
        for path in paths:
            got = api.raw("GET", path)
            assert (got.status, got.json()["code"]) == (503, "DATABASE_UNAVAILABLE"), \
                (path, got.text)
        got = one.gateway.run_cgi("groups.cgi", "GET", "/api/groups")
        assert (got.status, got.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        health = api.raw("GET", "/health")
        assert health.status == 200
        assert health.json()["degraded"] == ["database"]
        assert one.ask() == 200
    finally:
        one.engine.start()
    for path in paths:
        until(lambda path=path: api.raw("GET", path).status == 200, f"{path} works again", 15)
    assert "degraded" not in api.raw("GET", "/health").json()


def test_the_management_api_says_that_the_database_is_locked(stack):
    one = stack("sqlite")
    api = one.gateway.api
    one.engine.kill()
    try:
        got = api.raw("PUT", "/api/settings", {"max_retries": 2})  # waits for ten seconds
        assert (got.status, got.json()["code"]) == (503, "DATABASE_UNAVAILABLE"), got.text
        assert api.raw("GET", "/api/settings").status == 200
        assert one.ask() == 200
    finally:
        one.engine.start()
    api.set(max_retries=2)


def test_no_row_is_lost_when_the_file_is_gone_for_a_while(stack):
    one = stack("sqlite")
    aside = one.engine.path.with_suffix(".aside")
    with one.load():
        one.engine.path.rename(aside)
        stay(AWAY)
        assert not one.engine.path.exists()
        aside.rename(one.engine.path)
    one.check_rows()


def test_a_file_that_is_gone_is_said_to_be_and_not_replaced(stack):
    """An admin program that came by made an empty database, and answered out of it."""
    one = stack("sqlite")
    aside = one.engine.path.with_suffix(".aside")

    def groups():
        return one.gateway.run_cgi("groups.cgi", "GET", "/api/groups")
    assert len(groups().json()["data"]) > 0
    one.engine.path.rename(aside)
    got = groups()
    assert (got.status, got.json()["code"]) == (503, "DATABASE_UNAVAILABLE"), got.text
    assert "gpt-load prepare" in got.json()["message"]
    assert not one.engine.path.exists()
    aside.rename(one.engine.path)
    assert len(groups().json()["data"]) > 0


def redis_away(stack, redis, how, seconds):
    with stack.load() as load:
        end_of(redis, how)
        try:
            stay(seconds)
        finally:
            redis.start()
        until(lambda: "degraded" not in stack.gateway.api.raw("GET", "/health").json(),
              "the pool is whole again")
    assert load.slowest < 5
    stack.check_rows()
    assert stack.gateway.api.raw("GET", "/health").json()["status"] == "healthy"


@pytest.mark.parametrize("how", ["stop", "kill", "pause"])
def test_no_request_fails_while_redis_is_away(stack, redis, how):
    redis_away(stack("mariadb", REDIS_DSN=redis.dsn(2)), redis, how, AWAY)


@pytest.mark.scale
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["stop", "kill", "pause"])
def test_the_same_for_a_minute_of_redis(stack, redis, how):
    redis_away(stack("mariadb", REDIS_DSN=redis.dsn(2)), redis, how, LONG)


def test_no_request_fails_while_redis_has_forgotten_everything(stack, redis):
    one = stack("postgresql", keys=200, REDIS_DSN=redis.dsn())
    with one.load():
        for _ in range(3):
            assert redis.say("FLUSHALL") == b"+OK\r\n"
            until(lambda: redis.say("HGET gptl:id complete") == b"$1\r\n1\r\n",
                  "it is filled again")
    one.check_rows()
    one.provider.forget()
    for _ in range(200):
        assert one.ask() == 200
    assert set(one.provider.counts().values()) == {1}


def test_redis_and_database_away_at_once(stack, redis):
    one = stack("mariadb", REDIS_DSN=redis.dsn())
    with one.load():
        redis.kill()
        one.engine.kill()
        try:
            stay(AWAY)
        finally:
            one.engine.start()
            redis.start()
    one.check_rows()


def test_failures_without_redis_are_counted_and_told_when_it_is_back(stack, redis, provider):
    one = stack("mariadb", keys=3, WORKERS=1, REDIS_DSN=redis.dsn())
    bad = one.keys[1]
    for _ in range(3):
        assert one.ask() == 200
    provider.on(vendors.openai_bad_key(), key=bad)
    redis.kill()
    for _ in range(12):
        assert one.ask() == 200  # by another key
    assert provider.counts()[bad] == 1 + 2  # the threshold
    redis.start()
    one.group.wait_status(bad, "invalid")
    provider.forget()
    for _ in range(6):
        assert one.gateway.ask(one.group, "/v1/own").status == 200
    assert bad not in [credential(r) for r in provider.requests if r.path == "/v1/own"]


def test_a_group_that_no_worker_has_used_is_served_without_redis(stack, redis, provider):
    one = stack("mariadb", REDIS_DSN=redis.dsn())
    group = one.gateway.api.create_group(provider.origin, keys=[unique("sk") for _ in range(50)])
    one.wait_configured()
    redis.kill()
    for _ in range(100):
        assert one.ask(group) == 200
    assert len(provider.counts()) >= 50
    redis.start()


def test_a_key_that_was_deleted_is_not_used_without_redis(stack, redis, provider):
    one = stack("mariadb", keys=3, REDIS_DSN=redis.dsn())
    for _ in range(12):
        assert one.ask() == 200
    one.gateway.api.call("POST", "/api/keys/delete-multiple",
                         {"group_id": one.group.id, "keys_text": one.keys[0]})
    redis.kill()
    provider.forget()
    for _ in range(12):
        assert one.ask() == 200
    assert set(provider.counts()) == set(one.keys[1:])
    redis.start()


def test_the_management_api_says_that_redis_is_away(stack, redis):
    one = stack("mariadb", REDIS_DSN=redis.dsn())
    api = one.gateway.api
    assert one.ask() == 200
    redis.kill()
    assert api.raw("GET", "/api/groups").status == 200  # the database is there
    got = api.raw("GET", f"/api/groups/{one.group.id}/stats")
    assert got.status in (200, 503), got.text
    if got.status == 503:
        assert got.json()["code"] == "POOL_UNAVAILABLE"
    health = api.raw("GET", "/health")
    assert (health.status, health.json()["degraded"]) == (200, ["pool"])
    # What is changed now is obeyed when it is back.
    late = api.create_group(one.provider.origin, keys=[])
    redis.start()
    until(lambda: one.ask(late) == 503, "the new group is known, and has no key")
    assert one.ask() == 200


def test_a_redis_that_hangs_does_not_hold_up_who_looks(stack, redis):
    one = stack("mariadb", REDIS_DSN=redis.dsn())
    assert one.ask() == 200
    redis.pause()
    for _ in range(3):
        begun = time.monotonic()
        health = one.gateway.api.raw("GET", "/health")
        assert (health.status, health.json()["degraded"]) == (200, ["pool"])
        assert one.gateway.api.raw("GET", "/api/groups").status == 200
        assert one.ask() == 200
        assert time.monotonic() - begun < 6
    redis.resume()
    until(lambda: "degraded" not in one.gateway.api.raw("GET", "/health").json(),
          "the pool is there")


# --- starts while one is away ---


@pytest.fixture
def waiting(engines, redis):
    """waiting(name): (gateway that was never started, its engine, which is away)."""
    started = []

    def make(name):
        environment = {"DATABASE_DSN": engines("mariadb").new_database(),
                       "REDIS_DSN": redis.dsn()}
        if name in ENGINES:
            environment["DATABASE_DSN"] = engines(name).new_database()
        gateway = Gateway(stack="sqlite", **environment)
        started.append(gateway)
        engine = redis if name == "redis" else engines(name)
        engine.kill()
        return gateway, engine
    yield make
    for gateway in started:
        gateway.stop()


def says_that_it_waits(gateway, name):
    variable = "REDIS_DSN" if name == "redis" else "DATABASE_DSN"
    return f"cannot start yet, waiting: {variable}: " in gateway.log_text()


@pytest.mark.parametrize("name", WHO)
def test_a_start_waits_for_what_is_away_and_says_so_once(waiting, provider, name):
    gateway, engine = waiting(name)
    refused = gateway.command("prepare")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    prepare = gateway._spawn("prepare", COMMAND, "prepare", "--wait")
    until(lambda: says_that_it_waits(gateway, name), "prepare says that it waits")
    gateway.start_master()
    until(lambda: (gateway.logs / "responder.log").read_text().count("waiting: ") == 2,
          "both workers say that they wait")
    assert prepare.poll() is None
    engine.start()
    assert prepare.wait(20) == 0
    gateway.start_web()  # until it is healthy
    said = [line.split("[")[1] for line in gateway.log_text().splitlines()
            if "waiting: " in line and "[" in line]
    assert len(said) == len(set(said))  # again only when the reason is another
    group = gateway.api.create_group(provider.origin, keys=[unique("sk")])
    assert gateway.ask(group).status == 200


@pytest.mark.parametrize("name", WHO)
def test_a_start_that_waits_can_be_ended(waiting, name):
    gateway, engine = waiting(name)
    gateway.start_master()
    until(lambda: says_that_it_waits(gateway, name), "a worker says that it waits")
    begun = time.monotonic()
    gateway.stop_master()
    assert time.monotonic() - begun < 5
    engine.start()


def test_what_waiting_does_not_mend_is_refused(engines, redis):
    maria, postgres = engines("mariadb"), engines("postgresql")
    maria.query("CREATE OR REPLACE USER somebody IDENTIFIED BY 'right'")
    good = maria.new_database()
    refusals = {
        "a database that is not there": {"DATABASE_DSN": good.replace("/test_", "/no_")},
        "a wrong password": {"DATABASE_DSN": good.replace("root@", "somebody:wrong@")},
        "no such database": {"DATABASE_DSN": f"postgres://tester@/none?host={postgres.folder}"},
        "no such user": {"DATABASE_DSN": f"postgres://x@/postgres?host={postgres.folder}"},
        "no file": {"DATABASE_DSN": "/usr"},
        "no DSN at all": {"DATABASE_DSN": good, "REDIS_DSN": "http://127.0.0.1"},
        "a user that Redis does not know": {
            "DATABASE_DSN": good, "REDIS_DSN": f"unix://x:y@{redis.socket}"},
    }
    for what, environment in refusals.items():
        gateway = Gateway(stack="sqlite", **environment)
        done = gateway.command("prepare", "--wait")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), (what, done.stderr)
        assert "_DSN: " in done.stderr
        gateway.start_master()
        gateway.master.wait(20)
        assert gateway.master.returncode == 2, (what, gateway.log_text())
        gateway.stop()
