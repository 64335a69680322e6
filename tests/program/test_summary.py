# SPDX-License-Identifier: MIT
"""The dashboard's ranges against a count over the log rows of a recorded run."""

import collections
import datetime
import math

import pytest

from lib.api import unique
from lib.provider import answer, sse
from lib.wait import until

RANGES = {"15m": 60, "1h": 60, "6h": 300, "24h": 3600, "7d": 3600, "30d": 86400}


def chat(model, **fields):
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion}


@pytest.fixture
def run(start_gateway, provider):
    """Traffic of every kind: good, streams, retries, errors of client and provider, and
    through an aggregate."""
    gateway = start_gateway(workers=2)
    api = gateway.api
    keys = [unique("sk-key-with-some-length") for _ in range(3)]
    dead = unique("sk-dead-with-some-length")
    one = api.create_group(provider.origin, keys=keys)
    two = api.create_group(provider.origin, keys=[dead, unique("sk-good-with-some-length")])
    two.configure(blacklist_threshold=0)
    parent = api.create_aggregate((one, 1), (two, 1))
    provider.on(answer(json={"usage": usage(11, 5), "choices": []}))
    provider.on(answer(401, json={"error": {"message": "no such key"}}), key=dead)
    provider.on(answer(422, json={"error": {"message": "odd"}}),
                when=lambda r: b'"odd"' in r.body)
    provider.on(answer(503, json={"error": {"message": "down"}}),
                when=lambda r: b'"down"' in r.body)
    provider.on(answer(body=sse({"choices": [{"delta": {"content": "x"}}]})
                       + sse({"choices": [], "usage": usage(20, 30)}) + sse("[DONE]"),
                       content_type="text/event-stream"),
                when=lambda r: b'"stream":true' in r.body.replace(b" ", b""))

    def ask(group, body):
        return gateway.client.request("POST", group.path("/v1/chat/completions"),
                                      gateway.headers(), json=body)
    for group in (one, two, parent):
        for _ in range(4):
            assert ask(group, chat("gpt-a")).status == 200
        assert ask(group, chat("gpt-b", stream=True)).status == 200
        assert ask(group, chat("odd")).status == 422
    assert ask(one, chat("down")).status == 503
    return gateway, one, two, parent


def check_sums(got, rows, tries=False):
    """What every entry has; rows of the key are tries."""
    counted = [r for r in rows if tries or r["request_type"] == "final"]
    assert got["requests"] == len(counted)
    assert got["errors"] == sum(not r["is_success"] for r in counted)
    assert got["total_tokens"] == sum((r["prompt_tokens"] or 0) + (r["completion_tokens"] or 0)
                                      for r in rows)
    times = sorted(r["duration_ms"] for r in counted)
    for name, share in (("p50_ms", 0.50), ("p95_ms", 0.95)):
        if times:
            true = times[max(math.ceil(share * len(times)), 1) - 1]
            assert true / 1.2 - 1 <= got[name] <= true * 1.2 + 1, (name, true, got)
        else:
            assert got[name] is None


def check_summary(got, rows, api):
    totals = got["totals"]
    final = [r for r in rows if r["request_type"] == "final"]
    check_sums(totals, rows)
    assert totals["retries"] == len(rows) - len(final)
    assert totals["prompt_tokens"] == sum(r["prompt_tokens"] or 0 for r in rows)
    classes = collections.Counter(f"{r['status_code'] // 100}xx" for r in final)
    assert {name: n for name, n in got["status_classes"].items() if n} == classes
    for name in ("requests", "errors", "total_tokens"):
        assert sum(p[name] for p in got["points"]) == totals[name]
    by_model = collections.defaultdict(list)
    by_key = collections.defaultdict(list)
    for row in rows:
        by_model[row["model"]].append(row)
        by_key[row["key_value"]].append(row)
    assert {e["name"] for e in got["by_model"]} == set(by_model)
    for entry in got["by_model"]:
        assert not entry["other"] and entry["label"] == entry["name"]
        check_sums(entry, by_model[entry["name"]])
    assert len(got["by_key"]) == len(by_key)
    for entry in got["by_key"]:
        key = api.call("GET", f"/api/keys/{entry['id']}")
        assert "*" in entry["label"] and entry["label"] != key["key_value"]
        assert entry["group_id"] == key["group_id"]
        check_sums(entry, by_key[key["key_value"]], tries=True)
    requests = [e["requests"] for e in got["by_key"]]
    assert requests == sorted(requests, reverse=True)


def test_every_range_agrees_with_the_log_rows(run):
    gateway, one, two, parent = run
    api = gateway.api
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    assert len(rows) > len([r for r in rows if r["request_type"] == "final"]) == 19
    for name, bucket in RANGES.items():
        got = api.call("GET", f"/api/dashboard/summary?range={name}")
        assert (got["range"], got["bucket_seconds"]) == (name, bucket)
        times = [datetime.datetime.fromisoformat(p["time"]) for p in got["points"]]
        assert times[0] == datetime.datetime.fromisoformat(got["from"])
        assert times[-1] <= datetime.datetime.fromisoformat(got["to"])
        assert {(b - a).total_seconds() for a, b in zip(times, times[1:])} == {bucket}
        check_summary(got, rows, api)
        assert {e["id"] for e in got["by_group"]} == {one.id, two.id}
        for entry in got["by_group"]:
            assert entry["label"] == entry["name"]
            check_sums(entry, [r for r in rows if r["group_id"] == entry["id"]])


def test_of_one_group_and_of_an_aggregate(run):
    gateway, one, two, parent = run
    api = gateway.api
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    for group in (one, two):
        got = api.call("GET", f"/api/dashboard/summary?range=1h&group_id={group.id}")
        mine = [r for r in rows if r["group_id"] == group.id]
        check_summary(got, mine, api)
        assert [e["id"] for e in got["by_group"]] == [group.id]
        card = group.stats()["stats_24_hour"]
        final = [r for r in mine if r["request_type"] == "final"]
        assert card["total_requests"] == got["totals"]["requests"] == len(final)
        assert card["failed_requests"] == got["totals"]["errors"]
    got = api.call("GET", f"/api/dashboard/summary?range=24h&group_id={parent.id}")
    through = [r for r in rows if r["parent_group_id"] == parent.id]
    check_summary(got, through, api)
    assert {e["id"] for e in got["by_group"]} == {r["group_id"] for r in through}
    two.delete()
    got = api.call("GET", "/api/dashboard/summary?range=1h")
    check_sums(got["totals"], rows)
    assert f"#{two.id}" in {e["label"] for e in got["by_group"]}


def errors(api, query=""):
    got = api.call("GET", f"/api/dashboard/errors?range=1h{query}")
    return got, {(e["status_code"], e["error"]): e["count"] for e in got["errors"]}


def failed(rows):
    return [r for r in rows if r["request_type"] == "final" and not r["is_success"]]


def test_what_failed_most(run, provider):
    gateway, one, two, parent = run
    api = gateway.api
    for n in range(5):
        text = f"Trace req_{n}abcdefgh\n  in the engine"
        provider.on(answer(422, json={"error": {"message": text}}),
                    when=lambda r, n=n: f'"trace{n}"'.encode() in r.body)
        gateway.ask(one, json=chat(f"trace{n}"))
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    got, counts = errors(api)
    assert sum(counts.values()) == got["looked_at"] == len(failed(rows))
    assert (got["complete"], got["others"]) == (True, 0)
    listed = [e["count"] for e in got["errors"]]
    assert listed == sorted(listed, reverse=True)
    # What differs, and a break of lines, is no part of the cause: the rest finds the rows.
    cause = "Trace req_…in the engine"
    assert counts[422, cause] == 5
    assert len([1 for status, _ in counts if status == 422]) == 2
    found = api.call("GET", "/api/logs?is_success=false&error_contains=in%20the%20engine")
    assert found["pagination"]["total_items"] == 5
    assert {e["error"]: e["last_at"] for e in got["errors"]}[cause] == \
        max(r["timestamp"] for r in found["items"])


def test_what_failed_most_of_a_group_and_through_an_aggregate(run):
    gateway, one, two, parent = run
    api = gateway.api
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    for group, column in ((one, "group_id"), (two, "group_id"), (parent, "parent_group_id")):
        got, counts = errors(api, f"&group_id={group.id}")
        mine = failed([r for r in rows if r[column] == group.id])
        assert mine
        assert collections.Counter(r["status_code"] for r in mine) == collections.Counter(
            status for (status, _), n in counts.items() for _ in range(n))
    assert errors(api, "&group_id=999999")[0]["errors"] == []


@pytest.mark.parametrize("route", ["summary", "errors"])
@pytest.mark.parametrize("query", ["range=2h", "range=", "group_id=x", "group_id=0", "group_id=-1"])
def test_bad_questions(api, query, route):
    got = api.raw("GET", f"/api/dashboard/{route}?{query}")
    if query == "range=":  # as if it were not there
        assert got.json()["data"]["range"] == "24h"
    else:
        assert (got.status, got.json()["code"]) == (400, "BAD_REQUEST")


def test_rows_of_before_are_summed_in_the_background(run):
    gateway, *_ = run
    api = gateway.api
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    gateway.stop_web()
    gateway.stop_master()
    gateway.execute("DELETE FROM gptl_rollups")
    gateway.execute("DELETE FROM gptl_rollup_items")
    gateway.execute("DELETE FROM gptl_meta WHERE name IN ('rollup_at', 'rollup_done')")
    gateway.execute("UPDATE request_logs SET gptl_rolled = 0")
    gateway.start()
    until(lambda: api.call("GET", "/api/dashboard/summary")["complete"], "the sums are complete")
    check_summary(api.call("GET", "/api/dashboard/summary?range=30d"), rows, api)
