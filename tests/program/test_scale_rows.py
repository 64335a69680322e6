# SPDX-License-Identifier: MIT
"""Pages over many log rows and keys, and the dashboard beside them: that they are right, on
some rows; how long they take, on millions."""

import itertools
import os
import statistics
import subprocess
import time
import urllib.parse

import pytest

from lib import rows
from lib.gateway import Gateway
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "millions of rows are made by writing the file")

KEYS = 40


class Filled:
    """A gateway on a filled database. `measured`: how long things take counts."""

    def __init__(self, gateway, groups, logs, keys, measured):
        self.gateway = gateway
        self.groups = groups
        self.logs = logs
        self.keys = keys
        self.measured = measured
        program = gateway.build / "admin-cgi" / "keys.cgi"
        # A sanitizer costs a multiple, and is no reason to measure nothing.
        self.slower = 4 if b"__asan_init" in program.read_bytes() else 1

    def page(self, **query):
        return self.gateway.api.call("GET", "/api/logs?" + urllib.parse.urlencode(query))

    def within(self, ms, what, do):
        """The median of seven, after one that fills caches; that alone where it does not
        count."""
        do()
        if not self.measured:
            return
        times = []
        for _ in range(7):
            began = time.monotonic()
            do()
            times.append(1000 * (time.monotonic() - began))
        median = statistics.median(times)
        print(f"{what}: {median:.1f} ms")
        assert median < ms * self.slower, (what, times)

    def plain_cgi(self, program, path):
        environment = {**self.gateway.environment, "REQUEST_METHOD": "GET", "REQUEST_URI": path,
                       "SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1",
                       "REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": path.partition("?")[2],
                       "HTTP_AUTHORIZATION": f"Bearer {self.gateway.api.auth_key}"}
        done = subprocess.run([self.gateway.build / "admin-cgi" / program], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, check=True,
                              timeout=60)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        assert b"Status: 200" in head and b'"items"' in body, done.stdout[:500]
        return body


def fill(n_logs, n_keys, measured):
    gateway = Gateway(workers=2, POOL_SIZE_MB=1024)
    gateway.start()
    groups = [gateway.api.create_group("http://127.0.0.1:9") for _ in range(4)]
    gateway.stop_web()
    gateway.stop_master()
    database = gateway.data / "gpt-load.db"
    rows.fill_logs(database, n_logs, [(g.id, g.name) for g in groups], keys=KEYS)
    rows.fill_keys(database, groups[0].id, n_keys)
    for group in groups[1:]:
        rows.fill_keys(database, group.id, KEYS, prefix="sk-logged-key")
    # The keys came behind the pool's back.
    for file in gateway.pool_files():
        file.unlink()
    gateway.start()
    return Filled(gateway, groups, n_logs, n_keys, measured)


@pytest.fixture(scope="module", params=[
    pytest.param((40_000, 3_000, False), id="some"),
    pytest.param((5_000_000, 500_000, True), id="millions", marks=[
        pytest.mark.scale, pytest.mark.measured, pytest.mark.timeout(3000)]),
])
def filled(request):
    one = fill(*request.param)
    yield one
    one.gateway.stop()


def check_equality(filled):
    """Each filter that an index helps, alone and together: right, and quick."""
    n = filled.logs
    key = "sk-logged-key-5"
    stretch = {"start_time": "2000-01-01T00:00:00Z", "end_time": "2100-01-01T00:00:00Z"}
    for query, total in [
            ({}, n), ({"status_code": 200}, n - n // 20), ({"status_code": 429}, n // 40),
            ({"status_code": 404}, 0), ({"is_success": "false"}, n // 20),
            ({"status_class": "2xx"}, n - n // 20), ({"status_class": "4xx"}, n // 40),
            ({"status_class": "5xx"}, n // 40), ({"status_class": "3xx"}, 0),
            ({"status_class": "other"}, 0), ({"is_success": "true", "status_class": "5xx"}, 0),
            ({"request_type": "retry"}, n // 40), ({"key_value": key}, n // KEYS),
            ({"key_value": "sk-unknown"}, 0), ({"group_id": filled.groups[1].id}, n // 4),
            ({"source_ip": "10.0.5.3"}, None), (stretch, n),
            ({"is_success": "true", "status_code": 404}, 0),
            ({"is_success": "true", "status_code": 503}, 0),
            ({"is_success": "false", "status_code": 200}, 0),
            ({"is_success": "true", "request_type": "retry"}, 0),
            ({"is_success": "false", "request_type": "final"}, n // 40),
            ({"group_id": filled.groups[1].id, "is_success": "true", "status_code": 503}, 0),
            ({"group_id": filled.groups[1].id, "is_success": "false"}, 0),
            ({"group_id": filled.groups[0].id, "is_success": "false"}, n // 20),
            ({"group_id": filled.groups[0].id, "status_code": 429, **stretch}, n // 40),
            ({"is_success": "true", "request_type": "final", "key_value": key,
              "status_code": 200}, None),
            ({"request_id": "000003e8-0000-7000-9000-0000000003e8"}, 1)]:
        got = filled.page(**query)
        about = got["pagination"]
        assert not about["stopped"]
        if total is not None:
            assert about["total_items"] == min(total, 10_000), query
            assert about["total_capped"] == (total > 10_000), query
            assert len(got["items"]) == min(total, 15)
        for row in got["items"]:
            for name in ("status_code", "group_id", "request_type", "source_ip", "key_value"):
                assert row[name] == query.get(name, row[name])
        stamps = [(row["timestamp"], row["id"]) for row in got["items"]]
        assert stamps == sorted(stamps, reverse=True)
        filled.within(100, f"logs by {query}", lambda q=query: filled.page(**q))


def check_walk(filled):
    """The rows of one key, by key: each once."""
    seen, after = set(), None
    query = {"source_ip": "10.0.5.3", "page_size": 1000}
    while True:
        got = filled.page(**query, **({"after": after} if after else {}))
        ids = {row["id"] for row in got["items"]}
        assert not ids & seen
        seen |= ids
        after = got["pagination"]["next"]
        if after is None:
            break
    assert len(seen) == filled.gateway.query(
        "SELECT COUNT(*) FROM request_logs WHERE source_ip = '10.0.5.3'")[0][0]


def check_substring(filled):
    """Found, or given up after two seconds, and then it says so."""
    began = time.monotonic()
    got = filled.page(error_contains="the odd one")
    took = time.monotonic() - began
    assert all(row["error_message"] == "the odd one out" for row in got["items"])
    assert took < 2 + 2 * filled.slower, took
    if got["pagination"]["stopped"]:
        assert took > 1.9 and got["pagination"]["total_capped"]
    else:
        assert got["items"] or filled.logs < 100_000
    print(f"substring: {took:.2f} s, stopped: {got['pagination']['stopped']}, "
          f"{len(got['items'])} rows")
    began = time.monotonic()
    got = filled.page(error_contains="nothing has this")
    took = time.monotonic() - began
    assert got["items"] == [] and took < 2 + 2 * filled.slower
    # It ends by itself before the time is over, or is stopped then.
    assert took > 1.9 if got["pagination"]["stopped"] else took < 2 + 0.2 * filled.slower, took
    print(f"substring without a hit: {took:.2f} s, stopped: {got['pagination']['stopped']}")
    # The connection goes on as before.
    assert len(filled.page()["items"]) == 15


# The API's word for an order → the column.
ORDERS = {"last_used": "last_used_at", "added": "id", "requests": "request_count",
          "failures": "failure_count"}


def check_keys(filled):
    """A page at the beginning, in the middle and at the end of every order and state."""
    group = filled.groups[0]
    until(lambda: group.stats()["key_stats"]["total_keys"] == filled.keys,
          "the pool has the keys", 300)
    size = 15
    for status, sort in itertools.product(("", "active", "invalid", "disabled"), ORDERS):
        total = {"": filled.keys, "active": filled.keys - filled.keys // 50,
                 "invalid": filled.keys // 50, "disabled": 0}[status]
        last = max(1, -(-total // size))
        for page, order in itertools.product(sorted({1, last // 2 or 1, last}), ("desc", "asc")):
            query = f"&status={status}&sort={sort}&order={order}&page={page}"
            got = filled.gateway.api.call("GET", f"/api/keys?group_id={group.id}{query}")
            assert got["pagination"]["total_items"] == total, query
            wanted = filled.gateway.query(
                f"SELECT id FROM api_keys WHERE group_id = {group.id}"
                + (f" AND status = '{status}'" if status else "")
                + f" ORDER BY {ORDERS[sort]} {order}, id {order}"
                f" LIMIT {size} OFFSET {(page - 1) * size}")
            assert [row["id"] for row in got["items"]] == [row[0] for row in wanted], query
            if order == "desc":
                measure_keys(filled, query)
    measure_keys(filled, "&page=3&page_size=100")
    measure_keys(filled, "&key_value=sk-filled-key-777")
    for query, total in (("&idle=never", filled.keys // 10), ("&idle=1&status=invalid", None)):
        got = filled.gateway.api.call(
            "GET", f"/api/keys?group_id={filled.groups[0].id}{query}")["pagination"]
        assert total in (None, got["total_items"])
        measure_keys(filled, query)


def measure_keys(filled, query):
    path = f"/api/keys?group_id={filled.groups[0].id}{query}"
    filled.within(30, f"keys{query} as FastCGI", lambda: filled.gateway.api.call("GET", path))
    filled.within(60, f"keys{query} as plain CGI", lambda: filled.plain_cgi("keys.cgi", path))


def check_summary(filled):
    """Rows of before are summed in the background, then every range is quick."""
    api = filled.gateway.api
    began = time.monotonic()
    until(lambda: api.call("GET", "/api/dashboard/summary?range=1h")["complete"],
          "the sums are complete", 1500)
    print(f"{filled.logs} rows summed in {time.monotonic() - began:.1f} s")
    for name in ("15m", "1h", "6h", "24h", "7d", "30d"):
        filled.within(300, f"summary of {name}",
                      lambda n=name: api.call("GET", f"/api/dashboard/summary?range={n}"))
        # The points are made of finer sums than who had them.
        got = api.call("GET", f"/api/dashboard/summary?range={name}")
        for total in ("requests", "errors", "total_tokens"):
            assert sum(e[total] for e in got["by_group"]) == got["totals"][total], name
        of_one = api.call("GET", f"/api/dashboard/summary?range={name}"
                                 f"&group_id={filled.groups[1].id}")
        assert sum(e["requests"] for e in of_one["by_key"]) == \
            of_one["totals"]["requests"] + of_one["totals"]["retries"], name
    for query in ("range=1h", "range=30d", f"range=30d&group_id={filled.groups[0].id}"):
        filled.within(300, f"errors of {query}",
                      lambda q=query: api.call("GET", f"/api/dashboard/errors?{q}"))
        got = api.call("GET", f"/api/dashboard/errors?{query}")
        assert sum(e["count"] for e in got["errors"]) + got["others"] == got["looked_at"] > 0
    totals = api.call("GET", "/api/dashboard/summary?range=30d")["totals"]
    assert totals["requests"] + totals["retries"] == filled.logs
    assert totals["retries"] == filled.logs // 40


def check_export(filled):
    """Each key once, and no more memory than before."""
    def resident():
        return max(int(line.split()[1]) for pid in os.listdir("/proc") if pid.isdigit()
                   for line in _status(pid) if line.startswith("VmRSS"))

    def _status(pid):
        try:
            with open(f"/proc/{pid}/cmdline") as line, open(f"/proc/{pid}/status") as status:
                if "api.fcgi" in line.read() and filled.gateway.environment["PORT"] in open(
                        f"/proc/{pid}/environ").read():
                    return status.readlines()
        except OSError:
            pass
        return []
    before = resident()
    began = time.monotonic()
    got = filled.gateway.api.raw("GET", "/api/logs/export?status_code=429")
    print(f"export: {time.monotonic() - began:.2f} s, {resident() - before} KB more")
    lines = got.text.splitlines()
    assert lines[0] == "key_value,group_name,status_code"
    assert len(lines) == len(set(lines)) > 1
    assert resident() - before < 64 * 1024


@pytest.mark.parametrize("check", [check_equality, check_walk, check_substring, check_keys,
                                   check_summary, check_export], ids=lambda f: f.__name__)
def test_rows(filled, check):
    check(filled)
