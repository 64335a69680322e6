# SPDX-License-Identifier: MIT
"""Many nodes, one installation: three on this machine, each with its own web server, data
folder and port, on one database server and one Redis, both of the test's own."""

import collections
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import signal
import threading
import time

import pytest

from lib import engines
from lib.api import unique
from lib.cluster import Cluster
from lib.manykeys import copy_key
from lib.provider import Stream, answer, sse
from lib.wait import until

# Three stacks and two servers start for a test: on a busy machine that takes its time.
pytestmark = [pytest.mark.only_on("sqlite", "each test has the databases that it needs"),
              pytest.mark.timeout(300)]

TAKEN_OVER_WITHIN = 15
THRESHOLD = 3
CLIENTS = 24


@pytest.fixture(scope="module")
def redis():
    with engines.Redis() as one:
        yield one


@pytest.fixture(scope="module", params=[engines.MariaDB, engines.PostgreSQL],
                ids=["mariadb", "postgresql"])
def engine(request):
    with request.param() as one:
        yield one


@pytest.fixture(scope="module")
def mariadb():
    with engines.MariaDB() as one:
        yield one


# --- rotation, failures and rows over all of them ---


class Load:
    """n requests from CLIENTS at a time, over the nodes in turn."""

    def __init__(self, cluster, group, n):
        self.group = group
        self.targets = [node.client for node in cluster.nodes]
        self.headers = {**cluster.nodes[0].headers(), "Content-Type": "application/json"}
        self.path, body = cluster.nodes[0].body_for(group)
        self.body = json.dumps(body)
        self.left = iter(range(n))
        self.lock = threading.Lock()

    def next(self):
        with self.lock:
            return next(self.left, None)

    def client(self, _):
        """Status codes of what one client asked, on a kept connection to each node."""
        got = collections.Counter()
        kept = [http.client.HTTPConnection(t.host, t.port, timeout=60) for t in self.targets]
        while (i := self.next()) is not None:
            one = kept[i % len(kept)]
            one.request("POST", self.group.path(self.path), self.body, self.headers)
            response = one.getresponse()
            response.read()
            got[response.status] += 1
        for one in kept:
            one.close()
        return got

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            return sum(pool.map(self.client, range(CLIENTS)), collections.Counter())


def check_bad_keys(sequence, bad):
    """Each is used until it is out, and beyond that only by who had it in hand then."""
    seen = {key: [i for i, k in enumerate(sequence) if k == key] for key in bad}
    for key, at in seen.items():
        assert len(at) >= THRESHOLD, (key, at)
        for i in at[THRESHOLD:]:
            assert i - at[THRESHOLD - 1] < CLIENTS, f"{key} was used at {at}"
    return sum(len(at) for at in seen.values())


def check_rows(cluster, group, counts, bad, n):
    """Every attempt has one row, every request one final one, and the sums are theirs."""
    rows = cluster.query("SELECT id, gptl_request_id, request_type, key_value, is_success "
                         f"FROM request_logs WHERE group_id = {group.id}")
    assert len({row[0] for row in rows}) == len(rows)
    assert collections.Counter(row[3] for row in rows) == counts
    final = [row for row in rows if row[2] == "final"]
    assert len(final) == len({row[1] for row in final}) == n
    assert len({row[1] for row in rows}) == n
    assert all(row[4] in ("1", "t") for row in final)
    assert cluster.query("SELECT SUM(success_count), SUM(failure_count) FROM group_hourly_stats "
                         f"WHERE group_id = {group.id}") == [(str(n), "0")]
    used = dict(cluster.query("SELECT key_value, request_count FROM api_keys "
                              f"WHERE group_id = {group.id}"))
    # As in GPT-Load 1.4, a key's own count is of its good answers.
    assert used == {key: "0" if key in bad else str(count) for key, count in counts.items()}


def rotate(cluster, provider, n, n_keys, n_bad):
    first = cluster.nodes[0]
    first.api.set(request_log_write_interval_minutes=0, blacklist_threshold=THRESHOLD,
                  max_retries=5)
    keys = [unique("sk-key") for _ in range(n_keys)]
    bad = set(keys[::n_keys // n_bad])
    provider.on(answer(401, json={"error": {"message": "no", "code": "invalid_api_key"}}),
                when=lambda r: r.header("authorization", "").removeprefix("Bearer ") in bad)
    group = first.api.create_group(provider.origin, keys=keys)
    assert Load(cluster, group, n).run() == {200: n}

    sequence = provider.keys
    failures = check_bad_keys(sequence, bad)
    assert len(sequence) == n + failures
    counts = collections.Counter(sequence)
    good = [counts[key] for key in keys if key not in bad]
    workers = sum(len(node.workers()) for node in cluster.nodes)
    assert max(good) - min(good) <= workers, collections.Counter(good)

    where = f"group_id = {group.id}"
    until(lambda: cluster.number(f"SELECT COUNT(*) FROM request_logs WHERE {where}")
          >= len(sequence), "every row is in the database", 60)
    check_rows(cluster, group, counts, bad, n)
    until(lambda: cluster.number(f"SELECT COUNT(*) FROM api_keys WHERE {where} "
                                 "AND status = 'invalid'") == n_bad,
          "the database knows which keys are out")
    for node in cluster.nodes:
        stats = node.api.call("GET", f"/api/groups/{group.id}/stats")["key_stats"]
        assert (stats["active_keys"], stats["invalid_keys"]) == (n_keys - n_bad, n_bad)


def test_ten_processes_on_three_nodes_rotate_as_one(engine, redis, provider):
    with Cluster(engine, redis, workers=(4, 3, 3), MAX_CONCURRENT_REQUESTS=1000) as cluster:
        rotate(cluster, provider, 20000, 500, 50)


# --- one of them dies ---


def test_the_node_with_the_lease_is_killed(engine, redis, provider):
    """Another does the background work within 15 s, the others' rows and key states go on,
    and what the dead one had not written yet is there once when it comes back."""
    with Cluster(engine, redis, workers=2) as cluster:
        first = cluster.nodes[0]
        first.api.set(request_log_write_interval_minutes=10, blacklist_threshold=1)
        keys = [unique("sk-key") for _ in range(6)]
        group = first.api.create_group(provider.origin, keys=keys)
        holder = cluster.holder()
        others = [node for node in cluster.nodes if node is not holder]
        for node in cluster.nodes * 4:
            assert node.ask(group).status == 200
        _, fence = cluster.lease()
        killed = time.monotonic()
        cluster.kill(holder)

        # Known to Redis at once, to the database by whoever holds the lease now.
        bad = keys[0]
        provider.on(answer(401, json={}), key=bad)
        until(lambda: others[0].ask(group).status == 200 and bad in provider.keys[12:],
              "the bad key was used")
        until(lambda: cluster.lease()[1] > fence, "another holds the lease",
              TAKEN_OVER_WITHIN - (time.monotonic() - killed), every=0.1)
        assert cluster.holder() in others
        until(lambda: cluster.query("SELECT status FROM api_keys WHERE key_value = "
                                    f"'{bad}'") == [("invalid",)], "it writes key states back")
        took = time.monotonic() - killed
        assert took < TAKEN_OVER_WITHIN, took

        holder.start()
        until(lambda: cluster.number("SELECT COUNT(*) FROM request_logs") >= 4,
              "what the dead node had spooled is written")
        for node in cluster.nodes:
            node.api.logs()  # writes what this node has
        rows = cluster.query("SELECT id, key_value FROM request_logs")
        assert len({row[0] for row in rows}) == len(rows)
        assert collections.Counter(row[1] for row in rows) == provider.counts()


def test_the_worker_with_the_lease_is_killed(engine, redis, provider):
    """Its rows are written by another within 15 s, once."""
    with Cluster(engine, redis, nodes=2, workers=2) as cluster:
        first = cluster.nodes[0]
        first.api.set(request_log_write_interval_minutes=10)
        group = first.api.create_group(provider.origin, keys=[unique("sk-key")])
        holder = cluster.holder()
        pid, fence = cluster.lease()
        for _ in range(20):
            assert holder.ask(group).status == 200
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        # All of them but what the other worker of that node, who lives, is still filling.
        until(lambda: cluster.lease()[1] > fence, "another holds the lease",
              TAKEN_OVER_WITHIN, every=0.1)
        assert time.monotonic() - killed < TAKEN_OVER_WITHIN
        until(lambda: cluster.number("SELECT COUNT(*) FROM request_logs") == 20,
              "every row is written",
              TAKEN_OVER_WITHIN - (time.monotonic() - killed), every=0.1)
        holder.api.logs()
        assert cluster.number("SELECT COUNT(DISTINCT id) FROM request_logs") == 20
        assert cluster.number("SELECT SUM(success_count) FROM group_hourly_stats") == 20
        assert cluster.number("SELECT SUM(request_count) FROM api_keys") == 20


def test_a_slave_never_holds_the_lease(mariadb, redis, provider):
    with Cluster(mariadb, redis, nodes=1) as cluster:
        master = cluster.nodes[0]
        master.api.set(request_log_write_interval_minutes=0)
        group = master.api.create_group(provider.origin, keys=[unique("sk-key")])
        master.stop_web()
        master.stop_master()
        _, fence = cluster.lease()
        slave = cluster.node(IS_SLAVE="true").start()
        assert slave.ask(group).status == 200
        # Its rows are its own to write, in the same rounds that look for the lease.
        until(lambda: cluster.number("SELECT COUNT(*) FROM request_logs") == 1, "it writes rows")
        assert cluster.lease() == (0, fence)
        master.start()
        assert cluster.holder() is master


# --- configuration ---


def test_a_change_on_one_node_is_obeyed_by_the_next_request_on_any(engine, redis, provider,
                                                                   second_provider):
    with Cluster(engine, redis) as cluster:
        pairs = list(itertools.permutations(cluster.nodes, 2))
        for made, asked in pairs * 3:
            group = made.api.create_group(provider.origin, keys=[unique("sk-key")])
            assert asked.ask(group).status == 200
            provider.forget()
            other = unique("sk-key")
            made.api.call("POST", "/api/keys/delete-multiple",
                          {"group_id": group.id, "keys_text": group.keys[0]})
            made.api.add_keys(group, [other])
            assert asked.ask(group).status == 200
            assert provider.keys == [other]
            group.api = made.api
            group.update(upstreams=[{"url": second_provider.origin, "weight": 1}])
            provider.forget()
            assert asked.ask(group).status == 200
            assert provider.keys == []
            group.delete()
            assert asked.ask(group).status == 404
        for made, asked in pairs:
            key = unique("client-key")
            made.api.set(proxy_keys=key)
            group = made.api.create_group(provider.origin, keys=[unique("sk-key")])
            assert asked.ask(group, key=key).status == 200
            made.api.set(proxy_keys="another")
            assert asked.ask(group, key=key).status == 401


def test_each_node_has_its_own_max_concurrent_requests(mariadb, redis, provider):
    with Cluster(mariadb, redis, nodes=2, MAX_CONCURRENT_REQUESTS=2) as cluster:
        full, free = cluster.nodes
        group = full.api.create_group(provider.origin, keys=[unique("sk-key")])
        streams = [provider.on(Stream(), path=f"/v1/{i}") for i in range(2)]
        with contextlib.ExitStack() as stack:
            for i, stream in enumerate(streams):
                stack.enter_context(full.open(group, f"/v1/{i}"))
                stream.wait_opened()
            assert full.ask(group).json()["code"] == "GATEWAY_BUSY"
            assert free.ask(group).status == 200
            for stream in streams:
                stream.send(sse("1"))
                stream.end()


# --- who may start ---


def refused(node, says, programs=("prepare", "responder")):
    """One line that says so, and exit code 2: from `prepare` and from the responder."""
    for program in programs:
        if program == "prepare":
            done = node.command("prepare")
            code, lines = done.returncode, done.stderr.splitlines()
        else:
            log = node.logs / "responder.log"
            before = log.read_text() if log.exists() else ""
            node.start_master()
            code = node.master.wait(60)
            lines = log.read_text()[len(before):].splitlines()
        assert code == 2, lines
        assert len(lines) == 1 and says in lines[0], lines


@pytest.fixture
def alive(engine, redis, request):
    """A cluster of one node."""
    cluster = Cluster(engine, redis, nodes=1, workers=1, ENCRYPTION_KEY="kv8w2-Long-Passphrase")
    yield cluster.__enter__()
    cluster.stop(failed=getattr(request.node, "failed", True))


def test_a_node_with_another_secret_is_refused_while_one_lives(alive, provider):
    (first,) = alive.nodes
    group = first.api.create_group(provider.origin, keys=[unique("sk-key")])
    second = alive.node(workers=1, AUTH_KEY="another-Auth-Key-vnq82xz")
    refused(second, "AUTH_KEY is not that of the node ")
    second.set_environment(AUTH_KEY=None)
    refused(second, "AUTH_KEY: it must be set")
    second.set_environment(AUTH_KEY=first.environment["AUTH_KEY"], ENCRYPTION_KEY="other")
    refused(second, "ENCRYPTION_KEY is not the one that the keys")
    group.delete()
    refused(second, "ENCRYPTION_KEY is not that of the node ")
    assert first.api.call("GET", "/api/groups") == []
    assert alive.number("SELECT COUNT(*) FROM gptl_nodes") == 1


def test_the_new_secret_is_recorded_when_no_other_node_lives(alive):
    (first,) = alive.nodes
    first.stop_web()
    first.stop_master()
    assert alive.number("SELECT COUNT(*) FROM gptl_nodes") == 0
    second = alive.node(workers=1, AUTH_KEY="another-Auth-Key-vnq82xz", ENCRYPTION_KEY="other-one")
    second.start()
    refused(first, "AUTH_KEY is not that of the node ")
    assert second.health().status == 200


def test_nodes_without_one_redis_are_refused(alive, redis):
    second = alive.node(workers=1, REDIS_DSN=None)
    refused(second, "REDIS_DSN is not set")
    number = (int(alive.redis_dsn.rpartition("=")[2]) + 1) % 16
    second.set_environment(REDIS_DSN=redis.dsn(number))
    refused(second, "REDIS_DSN is not that of the node ", programs=["responder"])


def test_a_slave_does_not_set_a_database_up(mariadb, redis):
    with Cluster(mariadb, redis, nodes=0) as cluster:
        slave = cluster.node(workers=1, IS_SLAVE="true")
        refused(slave, "the database is not set up yet")
        assert cluster.query("SHOW TABLES") == []


def test_two_installations_in_one_redis_database(alive, mariadb):
    other = alive.node(workers=1, DATABASE_DSN=mariadb.new_database())
    refused(other, "REDIS_DSN: another installation")


# --- many keys ---


@pytest.mark.scale
@pytest.mark.serial
@pytest.mark.timeout(600)
def test_a_million_keys_go_into_an_empty_redis_within_20_s(redis, start_gateway, provider):
    """A start that finds Redis empty: the longest that one takes. (On a machine that has
    nothing else to do.)"""
    gateway = start_gateway(REDIS_DSN=redis.dsn(15), workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-1"])
    gateway.stop_web()
    gateway.stop_master()
    copy_key(gateway.data / "gpt-load.db", "sk-1", 999_999)
    redis.say("FLUSHALL")
    began = time.monotonic()
    done = gateway.command("prepare")
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    gateway.start()
    assert group.stats()["key_stats"]["active_keys"] == 1_000_000
    for _ in range(100):
        assert gateway.ask(group).status == 200
    assert len(set(provider.keys)) == 100
    assert took <= 20, took
