# SPDX-License-Identifier: MIT
"""A database of GPT-Load 1.4 is taken over in place, used for a day, and handed back:
it finds its own things as they were, ours among them where they belong, and nothing of
its schema changed."""

import datetime
import json
import shutil
import socket
import sqlite3

import pytest

from lib.engines import MariaDB, PostgreSQL
from lib.gateway import AUTH_KEY
from lib.moved import MovedClock
from lib.original import ZONE, Original
from lib.provider import answer, credential
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "each test makes the databases that it needs")

PASSWORD = "their-Long-Passphrase-0123"
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR


@pytest.fixture(scope="module")
def engines():
    """One server of each kind, started when first asked for."""
    started = {}

    def get(kind):
        if kind not in started:
            started[kind] = kind()
        return started[kind]
    yield get
    for engine in started.values():
        engine.remove()


@pytest.fixture(params=["sqlite", "mysql", "pgsql"])
def make_original(request, engines, tmp_path, provider):
    def make(password=None):
        rest = {"password": password, "upstream": provider.origin}
        if request.param == "sqlite":
            return Original.sqlite(tmp_path / "theirs.db", **rest)
        return Original.on(engines({"mysql": MariaDB, "pgsql": PostgreSQL}[request.param]), **rest)
    return make


def variables(place, **more):
    """What tells the gateway where the database is."""
    return {"DATABASE_DSN": place.dsn, "TZ": "Asia/Shanghai",
            "ENCRYPTION_KEY": place.password, **more}


class Theirs:
    """A group that was there before us, as lib/gateway.py wants one."""

    def __init__(self, name):
        self.name = name
        self.data = {"channel_type": "openai"}

    def path(self, rest=""):
        return f"/proxy/{self.name}{rest}"


def listens(path):
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def additions_only(place):
    now = place.schema()
    changed = {what: (how, now.get(what)) for what, how in place.before.items()
               if now.get(what) != how}
    assert changed == {}
    return sorted(now.keys() - place.before.keys())


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_what_was_there_works(make_original, start_gateway, provider, password):
    place = make_original(password)
    provider.on(answer(401, json={"error": {"message": "no"}}), key="sk-first-3")
    gateway = start_gateway(workers=1, **variables(place))

    groups = {g["name"]: g for g in gateway.api.call("GET", "/api/groups")}
    assert set(groups) == {"first", "second", "both"}
    assert groups["first"]["config"]["request_timeout"] == 1200
    assert groups["first"]["param_overrides"]["max_completion_tokens"] == 1e6
    assert gateway.api.settings()["blacklist_threshold"] == 1_000_000
    assert gateway.api.settings()["request_log_retention_days"] == 30

    # Each key, also those that had no hash; the invalid one rests where it was.
    first, second = Theirs("first"), Theirs("second")
    for _ in range(6):
        assert gateway.ask(first).status == 200
        assert gateway.ask(second, key="sk-of-second").status == 200
        assert gateway.ask(first, key="sk-theirs-client").status == 200
    assert set(provider.keys) - {"sk-first-3"} == {"sk-first-1", "sk-first-2", "sk-second-1",
                                                   "sk-second-2"}
    request = next(r for r in provider.requests if credential(r) == "sk-first-1")
    assert request.header("X-Theirs") == "yes"
    assert json.loads(request.body)["max_completion_tokens"] == 1_000_000
    assert gateway.ask(Theirs("both")).status == 200

    rows = gateway.api.call("GET", "/api/logs?page_size=1000")
    assert rows["pagination"]["total_items"] >= len(place.rows) + 19
    assert {row["key_value"] for row in rows["items"]} \
        <= {"sk-first-1", "sk-first-2", "sk-second-1", "sk-second-2"}
    keys = gateway.api.call("GET", "/api/keys?group_id=1&page_size=100")["items"]
    assert sorted((k["key_value"], k["status"]) for k in keys) == [
        ("sk-first-1", "active"), ("sk-first-2", "active"), ("sk-first-2", "active"),
        ("sk-first-3", "invalid")]
    found = gateway.api.call("GET", "/api/keys?group_id=1&key_value=sk-first-2")["items"]
    assert len(found) == 2  # both rows of the one that is there twice
    done = gateway.api.call("POST", "/api/keys/add-multiple",
                            {"group_id": 1, "keys_text": "sk-first-2 sk-first-1 sk-ours"})
    assert (done["added_count"], done["ignored_count"]) == (1, 2)
    assert len(gateway.api.call("GET", "/api/dashboard/chart")["labels"]) == 24


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_day_and_back(make_original, start_gateway, provider, tmp_path, password):
    place = make_original(password)
    clock = MovedClock(tmp_path)
    provider.on(answer(json={"ok": True}))
    provider.on(answer(400, json={"error": {"message": "no"}}), key="sk-second-1")
    provider.on(answer(400, json={"error": {"message": "no"}}), key="sk-second-2")
    gateway = None
    for hours in (-23, -15.5, -6, 0):
        moved = {}
        if gateway is None:
            gateway = start_gateway(workers=1, web_server=False, **variables(
                place, **clock.environment(hours, {"ASAN_OPTIONS": ""})))
        else:
            moved = clock.environment(hours, {})
            del moved["ASAN_OPTIONS"]
            gateway.restart(**moved)
        until(lambda: listens(gateway.socket), "the responder listens")
        for _ in range(5):
            reply = gateway.fcgi("POST", "/proxy/first/v1/chat/completions",
                                 {"Content-Type": "application/json"}, b'{"model":"fast"}')
            assert reply.status == 200
            reply = gateway.fcgi("POST", "/proxy/second/v1/chat/completions",
                                 {"Content-Type": "application/json"}, b'{"model":"x"}')
            assert reply.status == 400
    gateway.stop_master()

    # Handed back. Every instant as we read it; the counting is the original's.
    now = datetime.datetime.now(ZONE)
    ours = place.ask("SELECT id, timestamp, is_success, group_id FROM request_logs "
                     "WHERE gptl_request_id <> ''")
    assert len(ours) == 40
    for hours, moment in ((-23, now - 23 * HOUR), (-15.5, now - 15.5 * HOUR), (-6, now - 6 * HOUR),
                          (0, now)):
        expected = 10 + sum(1 for t, _, _, kind in place.rows
                            if kind == "final" and moment - HOUR <= t < moment + HOUR)
        assert place.count_logs(moment - HOUR, moment + HOUR) == expected, hours
    window = (now - DAY, now + HOUR)
    assert place.count_logs(*window) == 40 + sum(
        1 for t, _, _, kind in place.rows if kind == "final" and window[0] <= t < window[1])
    # The page of its newest rows begins with our last ten.
    last = {row[0] for row in ours if row[0] in place.newest_logs(10)}
    assert len(last) == 10

    since = (now - DAY).replace(minute=0, second=0, microsecond=0) + HOUR
    theirs = [(t, ok) for t, _, ok, kind in place.rows if kind == "final" and t >= since]
    good, bad = place.sum_hours(since, now + HOUR)
    assert (good, bad) == (20 + sum(ok for _, ok in theirs),
                           20 + sum(not ok for _, ok in theirs))
    # Its own writer finds the row of the hour that we made, and does not make another.
    assert place.add_hourly(now - 6 * HOUR, 1, 1, 0)
    assert place.sum_hours(since, now + HOUR) == (good + 1, bad)

    for stored, hashed in place.ask("SELECT key_value, key_hash FROM api_keys"):
        text = place.cipher.opened(stored)
        assert text in place.keys
        assert hashed == place.cipher.digest(text)
    for stored, hashed in place.ask("SELECT key_value, key_hash FROM request_logs"):
        assert hashed == place.cipher.digest(place.cipher.opened(stored))
    assert place.ask("SELECT setting_value FROM system_settings WHERE setting_key = "
                     "'blacklist_threshold'")[0][0] == "1e+06"
    for what in additions_only(place):
        assert "gptl_" in what, what
    # It refuses to save a group whose config has a name that it does not know.
    for (config,) in place.ask("SELECT config FROM " + (
            '"groups"' if place.dialect == "pgsql" else "`groups`")):
        assert config is None or "stream" not in config
    # And it can insert what it inserts, without our columns.
    place.put("api_keys", key_value=place.cipher.sealed("sk-late"), key_hash=None, group_id=1,
              created_at=now, updated_at=now)
    place.put("request_logs", id="00000000-0000-4000-8000-000000000000", timestamp=now,
              group_id=1, is_success=True, status_code=200, duration=1, is_stream=False)


# --- check-config, before anything is touched ---


def test_check_config_tells_first_and_touches_nothing(make_original, start_gateway, tmp_path):
    place = make_original(PASSWORD)
    gateway = start_gateway(workers=1, web_server=False)  # for its `command`, on its own
    gateway.set_environment(**variables(place))
    copy = tmp_path / "copy.db"
    if place.dialect == "sqlite":
        shutil.copy(place.dsn, copy)
    done = gateway.command("check-config", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["database"]
    assert found["kind"] == "gpt-load-1.4"
    assert found["schema"] == 0
    assert found["encrypted"] is True
    assert found["groups"] == 3
    assert found["keys"] == {"total": 7, "without_hash": 3, "repeated": 2, "unreadable": 0}
    assert found["request_logs"] == len(place.rows)
    assert "blacklist_threshold" not in found["would_add"]["settings"]
    assert found["would_add"]["settings"] == ["stream_idle_timeout", "stream_heartbeat_seconds"]
    assert found["would_add"]["key_hashes"] == 3
    assert "gptl_meta" in found["would_add"]["tables"]
    assert "api_keys.gptl_seq" in found["would_add"]["columns"]
    assert sorted(found["legacy_indexes"]) == ["idx_api_keys_group_id_key_value", "idx_group_key"]
    text = gateway.command("check-config").stdout
    for piece in ("GPT-Load 1.4", "3 groups", "7 keys", "api_keys.gptl_seq",
                  "nothing has been changed"):
        assert piece in text, text
    assert PASSWORD not in text + done.stdout

    assert place.schema() == place.before
    if place.dialect == "sqlite":
        assert copy.read_bytes() == open(place.dsn, "rb").read()
        assert list(tmp_path.glob("theirs.db-*")) == []

    # What it said is what happens.
    assert gateway.command("prepare").returncode == 0
    added = additions_only(place)
    assert {a.split()[1] for a in added if a.startswith("column")
            and not a.split()[1].startswith("gptl_")} == set(found["would_add"]["columns"])
    later = json.loads(gateway.command("check-config", "--json").stdout)["database"]
    assert later["kind"] == "ours"
    assert later["would_add"] == {"tables": [], "columns": [], "indexes": [], "settings": [],
                                  "key_hashes": 0}


def test_check_config_says_that_the_keys_do_not_open(make_original, start_gateway):
    place = make_original(PASSWORD)
    gateway = start_gateway(workers=1, web_server=False)
    for wrong, says in ((None, "is not set"), ("another-Passphrase-123456", "is not the one")):
        gateway.set_environment(**variables(place, ENCRYPTION_KEY=wrong))
        done = gateway.command("check-config")
        assert done.returncode == 2, done.stdout
        assert says in done.stderr
    assert place.schema() == place.before


def test_both_programs_on_one_database_are_noticed(make_original, start_gateway, provider):
    place = make_original()
    provider.on(answer(json={"ok": True}))
    gateway = start_gateway(workers=1, **variables(place))
    assert gateway.ask(Theirs("first")).status == 200
    gateway.api.logs(len(place.rows) + 1)
    assert "both" not in gateway.command("check-config").stderr
    # The other writes a row while we run.
    now = datetime.datetime.now(ZONE) + datetime.timedelta(seconds=1)
    place.put("request_logs", id="11111111-0000-4000-8000-000000000000", timestamp=now,
              group_id=1, is_success=True, status_code=200, duration=1, is_stream=False,
              request_type="final")
    done = gateway.command("check-config")
    assert done.returncode == 0
    assert "GPT-Load 1.4 writes to this database" in done.stderr
    assert json.loads(gateway.command("check-config", "--json").stdout)["database"]["both_run"]


def test_a_database_of_something_else_is_left_alone(start_gateway, tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE notes (id integer)")
    database.close()
    gateway = start_gateway(workers=1, web_server=False)
    gateway.set_environment(DATABASE_DSN=path)
    before = path.read_bytes()
    done = gateway.command("check-config")
    assert done.returncode == 2
    assert "another program" in done.stderr
    assert path.read_bytes() == before
    assert AUTH_KEY not in done.stdout
