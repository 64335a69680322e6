# SPDX-License-Identifier: MIT
"""/metrics against what was done, over all workers; and the Grafana dashboard's names
against it."""

import collections
import json
import os
import re
import signal

import pytest

from lib.gateway import ROOT, Gateway
from lib.provider import Stream, answer
from lib.wait import until

LINE = re.compile(r'(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def read(gateway):
    """(name, labels) → value; and name → type."""
    got = gateway.client.request("GET", "/metrics", gateway.headers())
    assert got.status == 200
    assert got.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    values, types = {}, {}
    for line in got.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types
            types[name] = kind
        elif not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            labels = frozenset(LABEL.findall(match["labels"] or ""))
            assert (match["name"], labels) not in values, line
            values[match["name"], labels] = float(match["value"])
    return values, types


def value(gateway, name, **labels):
    """The sum of those with these labels."""
    return sum(number for (n, have), number in read(gateway)[0].items()
               if n == "gpt_load_" + name and have >= set(labels.items()))


def classes(gateway, group_id):
    return {c: n for c in ("2xx", "3xx", "4xx", "5xx", "gone")
            if (n := value(gateway, "requests_total", group_id=str(group_id), **{"class": c}))}


@pytest.fixture(scope="module")
def node():
    one = Gateway(workers=3)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def group(node, provider):
    return node.api.create_group(provider.origin, keys=["sk-one", "sk-two"])


def test_requests_by_group_and_class_over_all_workers(node, group, provider):
    provider.on(answer(422), when=lambda r: b"odd" in r.body)
    provider.on(answer(503), when=lambda r: b"down" in r.body)
    parent = node.api.create_aggregate((group, 1))
    before = value(node, "requests_total")
    for _ in range(20):
        assert node.ask(group).status == 200
    for _ in range(3):
        assert node.ask(group, json={"model": "odd"}).status == 422
    assert node.ask(group, json={"model": "down"}).status == 503
    assert node.ask(parent).status == 200
    assert classes(node, group.id) == {"2xx": 20, "4xx": 3, "5xx": 1}
    assert classes(node, parent.id) == {"2xx": 1}
    assert value(node, "requests_total") == before + 25
    retries = [r for r in group.logs(25) if r["request_type"] == "retry"]
    assert value(node, "retries_total", group=group.name) == len(retries) > 0


def test_requests_of_no_group(node):
    before = value(node, "requests_total", group_id="0", **{"class": "4xx"})
    assert node.client.request("POST", "/proxy/not-there/v1/x", node.headers(),
                               json={}).status == 404
    assert value(node, "requests_total", group_id="0", **{"class": "4xx"}) == before + 1


def test_streams_and_a_client_that_leaves(node, group, provider):
    stream = provider.on(Stream())
    stream.send(b"data: {}\n\n")
    open_one = node.open(group, json={"model": "m", "stream": True})
    until(lambda: value(node, "streams") == 1, "one stream is open")
    assert value(node, "exchanges") == 1
    open_one.close()
    until(lambda: classes(node, group.id) == {"gone": 1}, "the client's leaving is counted")
    until(lambda: value(node, "streams") == 0, "no stream is open")


def test_overhead_is_all_less_the_provider(node, group, provider):
    before = {n: value(node, "overhead_seconds_" + n) for n in ("sum", "count")}
    stream = provider.on(Stream(), times=1)
    stream.send(b"data: {}\n\n")
    open_one = node.open(group, json={"model": "m", "stream": True})
    group_rows = node.api.logs(group_name=group.name)  # some time passes
    assert group_rows == []
    stream.end()
    open_one.read()
    for _ in range(9):
        node.ask(group)
    assert value(node, "overhead_seconds_count") == before["count"] + 10
    own = value(node, "overhead_seconds_sum") - before["sum"]
    rows = group.logs(10)
    assert 0 < own < 10 * 0.05, own
    assert own < 0.5 or own < sum(r["duration_ms"] for r in rows) / 1000
    buckets = sorted((float(dict(labels)["le"]), n) for (name, labels), n in read(node)[0].items()
                     if name == "gpt_load_overhead_seconds_bucket")
    counts = [n for _, n in buckets]
    assert counts == sorted(counts) and buckets[-1][0] == float("inf")
    assert counts[-1] == value(node, "overhead_seconds_count")


def test_keys_by_state(node, group):
    row = group.key("sk-one")
    node.api.call("PUT", f"/api/keys/{row['id']}/status", {"status": "disabled", "reason": "x"})
    states = {dict(labels)["state"]: n for (name, labels), n in read(node)[0].items()
              if name == "gpt_load_keys" and ("group_id", str(group.id)) in labels}
    assert states == {"active": 1, "resting": 0, "invalid": 0, "disabled": 1}


def test_a_killed_worker_leaves_its_counts_and_takes_its_streams(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-one"])
    assert gateway.ask(group).status == 200
    stream = provider.on(Stream())
    stream.send(b"data: {}\n\n")
    open_one = gateway.open(group, json={"model": "m", "stream": True})
    until(lambda: value(gateway, "streams") == 1, "one stream is open")
    (pid,) = gateway.workers()
    os.kill(pid, signal.SIGKILL)
    until(lambda: gateway.workers() not in ([], [pid]), "another worker is there")
    open_one.close()
    until(lambda: value(gateway, "streams") == 0, "its streams are gone")
    assert classes(gateway, group.id) == {"2xx": 1}
    until(lambda: value(gateway, "lease_held") == 1, "the lease is held")
    assert value(gateway, "database_up") == value(gateway, "pool_up") == 1
    gateway.restart()
    assert classes(gateway, group.id) == {}


def test_the_dashboard_has_the_names_that_are_there(node, group):
    """grafana-dashboard.json shows every metric, and no other."""
    node.ask(group)
    values, types = read(node)
    text = (ROOT / "conf-examples" / "grafana-dashboard.json").read_text()
    used = set(re.findall(r"gpt_load_[a-z_]+", text))
    assert used == {name for name, _ in values}
    for name, kind in types.items():
        have = {n for n, _ in values if n.startswith(name)}
        wanted = {name + end for end in ("_bucket", "_sum", "_count")}
        assert have >= (wanted if kind == "histogram" else {name}), name
        assert kind != "counter" or name.endswith("_total")
    board = json.loads(text)
    ids = collections.Counter(panel["id"] for panel in board["panels"])
    assert set(ids.values()) == {1}
    for panel in board["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r'by \(([^)]*)\)', target["expr"]):
                names = {n for n, _ in types.items() if n in target["expr"]}
                for one in label.split(", "):
                    assert one == "instance" or any(
                        one in dict(labels) for n, labels in values
                        if any(n.startswith(m) for m in names)), target["expr"]
