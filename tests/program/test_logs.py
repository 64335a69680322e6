# SPDX-License-Identifier: MIT
"""Log rows: one per attempt, every field, tokens of every vendor, and what becomes
of them: batches, hourly sums, retention."""

import datetime
import itertools
import json
import re
import time
import urllib.parse

import pytest

from lib import vendors
from lib.api import unique
from lib.gateway import AUTH_KEY
from lib.provider import Provider, Stream, answer, gzip_bytes
from lib.wait import until

# channel → (whole answer, its tokens: prompt, completion, cached)
WHOLE = {
    "openai": (vendors.CHAT, (19, 10, 7)),
    "openai-response": (vendors.RESPONSE, (36, 87, 5)),
    "anthropic": (vendors.MESSAGE, (2095 + 512, 503, 512)),
    "gemini": (vendors.CONTENT, (4, 12, 2)),
}
# channel → tokens at the end of its stream
STREAM_TOKENS = {
    "openai": (11, 3, 4),
    "openai-response": (36, 87, 5),
    "anthropic": (25 + 6, 15, 6),
    "gemini": (4, 9, 1),
}


def tokens(row):
    return row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("channel", WHOLE)
def test_tokens_of_a_whole_answer(gateway, provider, make_group, channel, encoding):
    value, wanted = WHOLE[channel]
    provider.on(answer(json=value, encoding=encoding))
    group = make_group(channel=channel)
    gateway.ask(group, headers={"Accept-Encoding": "gzip, deflate"})
    (row,) = group.logs(1)
    assert tokens(row) == wanted
    assert row["is_stream"] is False


@pytest.mark.parametrize("cut", [1, 5, 10_000])
@pytest.mark.parametrize("channel", vendors.STREAMED)
def test_tokens_of_a_stream(gateway, provider, make_group, channel, cut):
    path, events = vendors.STREAMED[channel]
    whole = b"".join(events)
    stream = provider.on(Stream())
    group = make_group(channel=channel)
    with gateway.open(group, path) as got:
        for at in range(0, len(whole), cut):
            stream.send(whole[at:at + cut])
        stream.end()
        assert got.body == whole
    (row,) = group.logs(1)
    assert tokens(row) == STREAM_TOKENS[channel]
    assert row["is_stream"] is True
    assert row["bytes_out"] == len(whole)


def test_tokens_of_an_encoded_stream(gateway, provider, make_group):
    body = gzip_bytes(b"".join(vendors.CHAT_EVENTS))
    provider.on(answer(body=body, content_type="text/event-stream",
                       headers=[("Content-Encoding", "gzip")]))
    group = make_group()
    assert gateway.ask(group).body == body
    (row,) = group.logs(1)
    assert tokens(row) == STREAM_TOKENS["openai"]


def test_every_field_of_a_row(gateway, provider, make_group):
    group = make_group(config={"enable_request_body_logging": True})
    provider.on(answer(json=vendors.CHAT))
    begun = time.time()
    body = json.dumps({"model": "gpt-4.1-nano", "messages": []}).encode()
    got = gateway.ask(group, f"/v1/chat/completions?key={AUTH_KEY}&a=b", body=body,
                      headers={"User-Agent": "test/1", "Authorization": None})
    (row,) = group.logs(1)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}", row["id"])
    stamp = datetime.datetime.fromisoformat(row["timestamp"])
    assert stamp.utcoffset() == datetime.timedelta(hours=8)
    assert begun - 1 <= stamp.timestamp() <= time.time() + 1
    assert (row["group_id"], row["group_name"]) == (group.id, group.name)
    assert (row["parent_group_id"], row["parent_group_name"]) == (0, "")
    assert row["key_value"] == group.keys[0]
    assert re.fullmatch(r"[0-9a-f]{64}", row["key_hash"])
    assert row["model"] == "gpt-4.1-nano"
    assert row["is_success"] is True
    assert row["source_ip"] == "127.0.0.1"
    assert row["status_code"] == 200
    assert row["request_path"] == group.path("/v1/chat/completions?a=b")
    assert 0 <= row["duration_ms"] < 10_000
    assert row["error_message"] == ""
    assert row["user_agent"] == "test/1"
    assert row["request_type"] == "final"
    assert row["upstream_addr"] == provider.origin + "/v1/chat/completions?a=b"
    assert row["is_stream"] is False
    assert row["request_body"] == body.decode()
    assert row["attempt"] == 1
    assert re.fullmatch(r"[0-9a-f-]{36}", row["request_id"])
    assert 0 <= row["ttfb_ms"] <= row["duration_ms"]
    assert (row["bytes_in"], row["bytes_out"]) == (len(body), len(got.body))


def test_one_row_per_attempt_with_one_request_id(gateway, provider, make_group):
    group = make_group(keys=3)
    provider.on(vendors.openai_bad_key(), times=1)
    provider.on(vendors.openai_rate_limit(), when=lambda r: len(provider.requests) == 0, times=1)
    gateway.ask(group)
    rows = group.logs(3)
    assert [r["status_code"] for r in rows] == [429, 401, 200]
    assert [r["request_type"] for r in rows] == ["retry", "retry", "final"]
    assert [r["attempt"] for r in rows] == [1, 2, 3]
    assert [r["is_success"] for r in rows] == [False, False, True]
    assert len({r["request_id"] for r in rows}) == 1
    assert len({r["key_value"] for r in rows}) == 3
    assert "Incorrect API key" in rows[1]["error_message"]


@pytest.mark.parametrize("before, times", [("x" * 2040, 1), ("", 200)], ids=["once", "repeated"])
def test_a_key_across_the_cut_of_an_error_left_its_beginning(gateway, provider, make_group,
                                                             before, times):
    key = unique("key-of-no-vendors-form") + "0123456789" * 3
    group = make_group(keys=[key], config={"max_retries": 0})
    text = before + f" {key}" * times
    provider.on(answer(400, json={"error": {"message": text}}))
    gateway.ask(group)
    (row,) = group.logs(1)
    assert row["error_message"] == text.replace(key, "[redacted]").strip()[:2048]


def test_a_key_across_the_cut_of_a_logged_body_left_its_beginning(gateway, make_group):
    group = make_group(config={"enable_request_body_logging": True})
    body = json.dumps({"model": "m", "x": ""}).encode()[:-2] + b"x" * 65_000
    at = 65_000 - 8
    body = body[:at] + AUTH_KEY.encode() + b'"}'
    gateway.ask(group, body=body)
    (row,) = group.logs(1)
    assert row["request_body"] == (body[:at] + b"[redacte").decode()


def test_bodies_and_user_agents_only_where_asked_for(gateway, make_group):
    group = make_group()
    gateway.ask(group, headers={"User-Agent": "test/1"})
    (row,) = group.logs(1)
    assert (row["request_body"], row["user_agent"]) == ("", "")


def test_the_logged_body_is_the_one_after_overrides_and_before_the_redirect(gateway, make_group):
    group = make_group(config={"enable_request_body_logging": True},
                       param_overrides={"n": 2}, model_redirect_rules={"a": "b"})
    gateway.ask(group, body=b'{"model":"a"}')
    (row,) = group.logs(1)
    assert row["request_body"] == '{"model":"a","n":2}'
    # A list may leave the bodies out; the row by itself has it.
    for without, body in (("true", row["request_body"]), ("false", "")):
        (one,) = group.logs(with_bodies=without)
        assert one == {**row, "request_body": body}
    assert gateway.api.call("GET", f"/api/logs/{row['id']}") == row
    assert row["model"] == "a"


def test_a_refusal_without_a_key_has_a_row(gateway, make_group):
    group = make_group(keys=0)
    gateway.ask(group)
    (row,) = group.logs(1)
    assert (row["status_code"], row["key_value"], row["is_success"]) == (503, "", False)


@pytest.mark.parametrize("model", ["m" * 5000, "名" * 300, "a\u0000b", "emoji 😀" * 60])
def test_nothing_a_client_sends_can_spoil_a_row(gateway, make_group, model):
    group = make_group(config={"enable_request_body_logging": True})
    gateway.ask(group, f"/v1/x?{'q' * 900}", json={"model": model},
                headers={"User-Agent": "\xff\xfe" + "u" * 900})
    (row,) = group.logs(1)
    assert len(row["model"]) <= 255
    assert len(row["request_path"].encode()) <= 500
    assert len(row["user_agent"]) <= 512


def test_an_invalid_utf8_body_is_logged_as_valid_text(gateway, make_group):
    group = make_group(config={"enable_request_body_logging": True})
    gateway.ask(group, body=b'\xff\x00\xfe{"model":"m"}' + b"x" * 100_000)
    (row,) = group.logs(1)
    assert len(row["request_body"].encode()) <= 65_000


def hourly(gateway, group):
    """(success, failure) sums of the group's hourly rows."""
    (sums,) = gateway.query("SELECT coalesce(sum(success_count), 0),"
                            " coalesce(sum(failure_count), 0)"
                            " FROM group_hourly_stats WHERE group_id = ?", group.id)
    return sums


def test_hourly_sums_count_final_rows_for_group_and_aggregate(gateway, api, provider,
                                                              make_group):
    member = make_group(keys=2)
    aggregate = api.create_aggregate((member, 1))
    provider.on(answer(500, json={}), times=1)  # a retry: in no sum
    gateway.ask(aggregate)
    provider.on(answer(400, json={}))
    gateway.ask(aggregate)
    gateway.ask(member)
    member.logs(4)
    assert hourly(gateway, member) == (1, 2)
    assert hourly(gateway, aggregate) == (1, 1)
    stats = member.stats()["stats_24_hour"]
    assert (stats["total_requests"], stats["failed_requests"]) == (3, 2)
    assert stats["failure_rate"] == pytest.approx(2 / 3, abs=1e-4)


def test_a_keys_own_counters_follow(gateway, make_group):
    group = make_group(keys=1)
    for _ in range(3):
        gateway.ask(group)
    group.logs(3)
    row = group.key(group.keys[0])
    assert row["request_count"] == 3
    assert row["last_used_at"] is not None


def test_write_interval_0_writes_at_once_and_1_waits(gateway, provider, make_group, settings):
    group = make_group()

    def written():
        return gateway.query("SELECT count(*) FROM request_logs WHERE group_id = ?",
                             group.id)[0][0]
    settings(request_log_write_interval_minutes=0)
    gateway.ask(group)
    until(lambda: written() == 1, "the row is in the DB without being asked for", 5)
    settings(request_log_write_interval_minutes=60)
    gateway.ask(group)
    gateway.api.call("GET", "/api/groups")
    assert written() == 1
    assert len(group.logs(2)) == 2  # reading flushes
    assert written() == 2


def test_retention_deletes_what_is_older(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    for _ in range(3):
        gateway.ask(group)
    rows = group.logs(3)
    gateway.stop_master()  # the round of background work is this test's own
    old = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
    gateway.execute("UPDATE request_logs SET timestamp = ? WHERE id IN (?, ?)",
                    gateway.database.stored(old), rows[0]["id"], rows[1]["id"])
    for days, left in ((0, 3), (3, 3), (1, 1)):
        gateway.api.set(request_log_retention_days=days)
        done = gateway.command("jobs", "--once")
        assert done.returncode == 0, done.stderr
        assert len(group.logs()) == left
    assert [r["id"] for r in group.logs()] == [rows[2]["id"]]
    assert hourly(gateway, group) == (3, 0)


@pytest.mark.parametrize("filters, wanted", [
    ({"status_code": 404}, 1), ({"status_code": 200}, 2), ({"is_success": "false"}, 1),
    ({"is_success": "true"}, 2), ({"model": "model-on"}, 1), ({"request_type": "final"}, 3),
    ({"request_type": "retry"}, 0), ({"error_contains": "does not ex"}, 1),
    ({"error_contains": "%"}, 0), ({"source_ip": "127.0.0.1"}, 3),
    ({"source_ip": "10.0.0.1"}, 0), ({"start_time": "2020-01-01T00:00:00Z"}, 3),
    ({"end_time": "2020-01-01T00:00:00+08:00"}, 0), ({"key_value": "no-such-key"}, 0),
    ({"status_class": "2xx"}, 2), ({"status_class": "4xx"}, 1), ({"status_class": "5xx"}, 0),
    ({"status_class": "other"}, 0), ({"status_class": "4xx", "status_code": 404}, 1),
    ({"status_class": "2xx", "status_code": 404}, 0),
    ({"status_class": "4xx", "source_ip": "127.0.0.1", "is_success": "false"}, 1),
    ({"status_class": "other", "source_ip": "127.0.0.1"}, 0),
])
def test_filters(logged, filters, wanted):
    assert len(logged.logs(**filters)) == wanted


@pytest.fixture(scope="module")
def logged(gateway):
    """A group with three rows: two good ones and a 404."""
    with Provider() as provider:
        group = gateway.api.create_group(provider.origin, keys=[unique("sk")])
        gateway.ask(group, json={"model": "model-one"})
        gateway.ask(group, json={"model": "model-two"})
        provider.on(vendors.openai_error(404, "The model `x` does not exist"))
        gateway.ask(group, json={"model": "x"})
    group.logs(3)
    return group


@pytest.fixture(scope="module")
def mixed(gateway):
    """Two groups with rows of three statuses, retries among them; the rows, newest first."""
    with Provider() as provider:
        groups = [gateway.api.create_group(provider.origin, keys=[unique("sk"), unique("sk")],
                                           blacklist_threshold=0) for _ in range(2)]
        for status in (404, None, 401, None, 404, 429, None):
            for group in groups:
                if status:
                    provider.on(vendors.openai_error(status, "no"), times=1)
                gateway.ask(group)
    rows = [row for group in groups for row in group.logs()]
    assert {row["request_type"] for row in rows} == {"retry", "final"}
    assert {row["status_code"] for row in rows} >= {200, 404, 429, 401}
    return groups, sorted(rows, key=lambda row: (row["timestamp"], row["id"]), reverse=True)


MIXED = {"group_id": ("", "0", "1"), "is_success": ("", "true", "false"),
         "request_type": ("", "retry", "final")}


@pytest.mark.parametrize("status", ["", 200, 401, 429, 500])
def test_filters_together(mixed, gateway, status):
    """Each combination of what has few values: the rows that it names, in order; page by
    page, row by row, and up to a time."""
    groups, rows = mixed
    ours = {group.id for group in groups}

    def ask(query, **more):
        got = gateway.api.call("GET", "/api/logs?" + urllib.parse.urlencode({**query, **more}))
        return [row["id"] for row in got["items"] if row["group_id"] in ours], got["pagination"]

    for values in itertools.product(*MIXED.values()):
        query = {"status_code": status, **dict(zip(MIXED, values, strict=True))}
        query = {name: value for name, value in query.items() if value != ""}
        if "group_id" in query:
            query["group_id"] = groups[int(query["group_id"])].id
        wanted = [row["id"] for row in rows
                  if all(str(row[name]).lower() == str(query[name]) for name in query)]
        ids, about = ask(query, page_size=1000)
        assert ids == wanted, query
        if "group_id" not in query:  # the other tests' rows are there as well
            continue
        assert (about["total_items"], about["total_capped"]) == (len(wanted), False), query
        assert sum((ask(query, page_size=2, page=n + 1)[0]
                    for n in range(len(wanted) // 2 + 1)), []) == wanted, query
        walked, after = [], {}
        while after is not None:
            ids, about = ask(query, page_size=3, **after)
            walked += ids
            after = {"after": about["next"]} if about["next"] else None
        assert walked == wanted, query
        then = rows[len(rows) // 2]["timestamp"]
        older = {row["id"] for row in rows if row["timestamp"] <= then}
        assert ask(query, end_time=then)[0] == [i for i in wanted if i in older], query


def test_filter_by_key(logged):
    assert len(logged.logs(key_value=logged.keys[0])) == 3


@pytest.mark.parametrize("name, statuses", [
    ("2xx", [200, 299]), ("3xx", [300, 399]), ("4xx", [400, 499]), ("5xx", [500, 599]),
    ("other", [0, 199, 600, 999])])
def test_classes_of_statuses_from_their_first_to_their_last(edges, name, statuses):
    gateway, group = edges
    assert sorted(row["status_code"] for row in group.logs(status_class=name)) == statuses
    got = gateway.api.raw("GET", f"/api/logs/export?status_class={name}&group_name={group.name}")
    lines = got.body.decode().splitlines()
    # Of the one key: its newest row of this class.
    assert [line.rpartition(",")[2] for line in lines[1:]] == [str(statuses[-1])]


@pytest.fixture(scope="module")
def edges(gateway):
    """A group with a row of the first and of the last status of every class."""
    with Provider() as provider:
        served = gateway.api.create_group(provider.origin, keys=[unique("sk")])
        edge = [0, 199, 200, 299, 300, 399, 400, 499, 500, 599, 600, 999]
        for _ in edge:
            gateway.ask(served)
        ids = [row["id"] for row in served.logs(len(edge))]
    for status, one in zip(edge, sorted(ids), strict=True):
        gateway.execute("UPDATE request_logs SET status_code = ? WHERE id = ?", status, one)
    return gateway, served


@pytest.mark.parametrize("bad", [{"status_code": "4xx"}, {"is_success": "maybe"},
                                 {"status_class": "400"}, {"status_class": "4XX"},
                                 {"status_class": "1xx"}, {"with_bodies": "some"},
                                 {"start_time": "yesterday"}, {"request_type": "other"}])
def test_a_filter_that_cannot_be_read_is_refused(gateway, bad):
    (name, value), = bad.items()
    got = gateway.api.raw("GET", f"/api/logs?{name}={value}")
    assert got.status == 400
    assert got.json()["code"] in ("VALIDATION_FAILED", "BAD_REQUEST")


def test_pages(logged, gateway):
    def page(n, size):
        return gateway.api.call("GET", f"/api/logs?group_name={logged.name}&page={n}"
                                       f"&page_size={size}")
    first, second, past = page(1, 2), page(2, 2), page(3, 2)
    assert first["pagination"] == {
        "page": 1, "page_size": 2, "total_items": 3, "total_pages": 2, "total_capped": False,
        "stopped": False, "next": first["items"][-1]["id"]}
    assert second["pagination"]["next"] is None
    assert past["pagination"]["total_items"] == 3
    assert [len(p["items"]) for p in (first, second, past)] == [2, 1, 0]
    stamps = [r["timestamp"] for r in first["items"] + second["items"]]
    assert stamps == sorted(stamps, reverse=True)


def test_walking_by_key_gives_every_row_once(logged, gateway):
    query = f"/api/logs?group_id={logged.id}&page_size=1"
    walked, after = [], ""
    while after is not None:
        got = gateway.api.call("GET", query + (f"&after={after}" if after else ""))
        walked += [row["id"] for row in got["items"]]
        after = got["pagination"]["next"]
    assert walked == [row["id"] for row in reversed(logged.logs())]
    assert gateway.api.call("GET", query + "&after=not-there")["items"] == []


def test_a_large_page_is_in_order(logged, gateway):
    """Rows are read in portions; more than one of them here."""
    with Provider() as provider:
        group = gateway.api.create_group(provider.origin, keys=[unique("sk")])
        for _ in range(45):
            gateway.ask(group)
    got = gateway.api.call("GET", f"/api/logs?group_id={group.id}&page_size=100")
    stamps = [(row["timestamp"], row["id"]) for row in got["items"]]
    assert len(stamps) == len(set(stamps)) == 45
    assert stamps == sorted(stamps, reverse=True)
    assert got["pagination"]["total_items"] == 45


@pytest.mark.parametrize("bad", ["x", "0", "-1"])
def test_a_group_id_that_is_none_is_refused(gateway, bad):
    got = gateway.api.raw("GET", f"/api/logs?group_id={bad}")
    assert (got.status, got.json()["code"]) == (400, "VALIDATION_FAILED")
