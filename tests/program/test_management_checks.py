# SPDX-License-Identifier: MIT
"""The smallest behaviour that a management API of this kind has to show, point by point:
what the original does where that is well, and what it should where it is not."""

import concurrent.futures
import functools
import json
import urllib.parse

import pytest

from lib.api import Refused, unique
from lib.gateway import AUTH_KEY
from lib.provider import answer, never
from lib.wait import until


def refused(api, method, path, value=None):
    got = api.raw(method, path, value)
    return got.status, got.json()["code"]


INVALID = (400, "VALIDATION_FAILED")


# --- 1: where the key may stand ---

POSITIONS = {
    "query": lambda key: ("?key=" + urllib.parse.quote(key), {}),
    "bearer": lambda key: ("", {"Authorization": f"Bearer {key}"}),
    "x-api-key": lambda key: ("", {"X-Api-Key": key}),
    "x-goog-api-key": lambda key: ("", {"X-Goog-Api-Key": key}),
}


@pytest.mark.parametrize("position", POSITIONS)
def test_1_the_key_opens_from_each_place_and_a_wrong_one_from_none(gateway, position):
    query, headers = POSITIONS[position](AUTH_KEY)
    assert gateway.client.request("GET", "/api/groups" + query, headers).status == 200
    for number, wrong in enumerate((AUTH_KEY + "x", AUTH_KEY[:-1], AUTH_KEY.lower(), " ")):
        query, headers = POSITIONS[position](wrong)
        got = gateway.client.request("GET", "/api/groups" + query, {
            **headers, "X-Forwarded-For": f"192.0.2.{number + 1}"})
        assert (got.status, got.json()["code"]) == (401, "UNAUTHORIZED")
        assert set(got.json()) == {"code", "message"}


def test_1_login_and_health_are_open(gateway):
    assert gateway.client.request("GET", "/health").status == 200
    got = gateway.client.request("POST", "/api/auth/login", json={"auth_key": AUTH_KEY})
    assert (got.status, got.json()["success"]) == (200, True)


# --- 2: page sizes ---

@pytest.mark.parametrize("given, used", [("0", 15), ("-1", 15), ("abc", 15), ("5000", 1000),
                                         ("", 15), ("1", 1), ("1000", 1000)])
@pytest.mark.parametrize("route", ["/api/keys?group_id={}&", "/api/logs?group_name={}&"])
def test_2_page_sizes(api, make_group, route, given, used):
    group = make_group(keys=2)
    target = route.format(group.id) + f"page_size={given}&page=1"
    assert api.call("GET", target)["pagination"]["page_size"] == used


def test_2_a_page_past_the_end_is_empty(api, make_group):
    group = make_group(keys=3)
    page = api.call("GET", f"/api/keys?group_id={group.id}&page=3&page_size=2")
    assert page["items"] == []
    assert page["pagination"] == {"page": 3, "page_size": 2, "total_items": 3, "total_pages": 2}


# --- 3: names of groups ---

@pytest.mark.parametrize("make, good", [
    (lambda: unique("a"), True), (lambda: unique("n").ljust(100, "z"), True),
    (lambda: unique("n").ljust(101, "z"), False), (lambda: "A", False), (lambda: "", False),
    (lambda: "a b", False), (lambda: f"  {unique('t')} ", True), (lambda: "ä", False),
    (lambda: "a/b", False), (lambda: "a.b", False)])
def test_3_names_of_groups(api, provider, make, good):
    name = make()
    if good:
        group = api.create_group(provider.origin, name=name)
        assert group.name == name.strip()
        group.delete()
    else:
        with pytest.raises(Refused) as fault:
            api.create_group(provider.origin, name=name or " ")
        assert (fault.value.status, fault.value.code) == INVALID


# --- 4: upstreams ---

@pytest.mark.parametrize("upstreams, status", [
    (None, 400), ([], 400), ([{"url": "", "weight": 1}], 400), ([{"url": "  ", "weight": 1}], 400),
    ([{"url": "ftp://a.example", "weight": 1}], 400),
    ([{"url": "http://a.example", "weight": -1}], 400),
    ([{"url": "http://a.example", "weight": 0}, {"url": "http://b.example", "weight": 0}], 400),
    ([{"url": "http://a.example", "weight": 0}, {"url": "http://b.example", "weight": 1}], 200),
    ([{"url": " https://a.example/v1 ", "weight": 5}], 200)])
def test_4_upstreams(api, upstreams, status):
    wanted = {"name": unique(), "channel_type": "openai", "test_model": "m"}
    if upstreams is not None:
        wanted["upstreams"] = upstreams
    got = api.raw("POST", "/api/groups", wanted)
    assert got.status == status, got.text
    if status == 200:
        stored = got.json()["data"]["upstreams"]
        assert [u["url"] for u in stored] == [u["url"].strip() for u in upstreams]
    else:
        assert got.json()["code"] == "VALIDATION_FAILED"


# --- 5: a member's channel ---

def test_5_a_member_keeps_its_channel(api, make_group):
    group = make_group()
    api.create_aggregate((group, 1))
    for fields in ({"channel_type": "anthropic"}, {"validation_endpoint": "/v1/other"}):
        got = api.raw("PUT", f"/api/groups/{group.id}", fields)
        assert (got.status, got.json()["code"]) == INVALID
        assert "1" in got.json()["message"]
    group.update(channel_type="openai", validation_endpoint="", description="changed")
    assert group.data["description"] == "changed"


# --- 6: the order of groups ---

def test_6_a_refused_order_changes_nothing(api, make_group):
    groups = [make_group() for _ in range(2)]

    def sorts():
        return [api.call("GET", f"/api/groups/{g.id}")["sort"] for g in groups]
    api.call("PUT", "/api/groups/reorder", {"items": [
        {"id": g.id, "sort": 10 + i} for i, g in enumerate(groups)]})
    first = {"id": groups[0].id, "sort": 99}
    for items in ([], [first, {"id": 0, "sort": 1}], [first, {"id": groups[1].id, "sort": -1}],
                  [first, first], [first, {"id": 999999999, "sort": 1}]):
        assert refused(api, "PUT", "/api/groups/reorder", {"items": items}) == INVALID
        assert sorts() == [10, 11]
    api.call("PUT", "/api/groups/reorder", {"items": [first]})
    assert sorts() == [99, 11]


def together(*calls):
    """Statuses of calls made at the same time, each by somebody of its own."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [got.status for got in pool.map(lambda call: call(), calls)]


def test_6_operators_at_the_same_time_do_not_trip_over_each_other(api, make_group):
    groups = [make_group() for _ in range(6)]

    def order(turn):
        chosen = groups if turn % 2 else groups[::-1]
        return api.raw("PUT", "/api/groups/reorder",
                       {"items": [{"id": g.id, "sort": turn} for g in chosen]})

    def rename(turn):
        return api.raw("PUT", f"/api/groups/{groups[turn % 6].id}", {"description": f"{turn}"})
    turns = range(16)
    statuses = together(*(functools.partial(call, turn) for turn in turns
                          for call in (order, rename)))
    assert statuses == [200] * len(statuses)
    rows = [api.call("GET", f"/api/groups/{g.id}") for g in groups]
    assert len({row["sort"] for row in rows}) == 1, "one order came last, whole"


def test_6_copies_made_at_the_same_time_are_all_made(api, make_group):
    group = make_group(keys=["sk-one"])
    copy = functools.partial(api.raw, "POST", f"/api/groups/{group.id}/copy", {})
    assert together(*[copy] * 8) == [200] * 8
    names = {row["name"] for row in api.call("GET", "/api/groups")}
    assert {f"{group.name}_copy_{n}" for n in range(2, 9)} | {f"{group.name}_copy"} <= names


# --- 7: keys as text ---

@pytest.mark.parametrize("text, new", [
    ("k1,k2;k3\nk4\tk5 k6", 6), (" ,; k1 ,,\r\n k2", 2), ('["k1", " k2 ", "k1", ""]', 2),
    ("k1 k1,k1", 1), ("old k1 old", 1), ("old", 0)])
def test_7_counts_add_up(api, make_group, text, new):
    group = make_group(keys=["old"])
    done = api.call("POST", "/api/keys/add-multiple", {"group_id": group.id, "keys_text": text})
    pieces = json.loads(text) if text.startswith("[") else \
        text.replace(",", " ").replace(";", " ").split()
    given = len([piece for piece in pieces if piece.strip()])
    assert done == {"added_count": new, "ignored_count": given - new, "total_in_group": 1 + new}
    assert {row["status"] for row in group.key_list()} == {"active"}


@pytest.mark.parametrize("text", ["[\"a\"", "[1]", "[]", " \n ", "["])
def test_7_text_that_holds_no_keys(api, make_group, text):
    group = make_group(keys=0)
    for route in ("add-multiple", "delete-multiple", "restore-multiple", "add-async"):
        assert refused(api, "POST", f"/api/keys/{route}",
                       {"group_id": group.id, "keys_text": text}) == INVALID
    assert group.key_list() == []


# --- 8: 5,000 at once ---

@pytest.mark.parametrize("route", ["add-multiple", "delete-multiple", "restore-multiple"])
def test_8_five_thousand_and_one_more(api, make_group, route):
    group = make_group(keys=0)
    for n, status in ((5000, 200), (5001, 400)):
        got = api.raw("POST", f"/api/keys/{route}", {
            "group_id": group.id, "keys_text": "\n".join(f"k{i}" for i in range(n))})
        assert got.status == status
    assert got.json()["code"] == "VALIDATION_FAILED"


# --- 9: tasks ---

def ended(api, task):
    until(lambda: not api.call("GET", f"/api/tasks/{task['id']}")["is_running"], "it ends")
    return api.call("GET", f"/api/tasks/{task['id']}")


def test_9_one_task_of_a_group_at_a_time(api, provider, make_group):
    provider.on(never(), key="sk-slow")
    group = make_group(keys=["sk-slow"])
    task = api.call("POST", "/api/keys/validate-group", {"group_id": group.id})
    assert task["is_running"] and "result" not in task
    assert refused(api, "POST", "/api/keys/delete-async", {
        "group_id": group.id, "keys_text": "k"}) == (409, "TASK_IN_PROGRESS")
    api.call("POST", f"/api/tasks/{task['id']}/cancel")
    assert ended(api, task)["state"] == "cancelled"
    task = api.call("POST", "/api/keys/add-async", {"group_id": group.id, "keys_text": "k k"})
    task = ended(api, task)
    assert task["result"] == {"added_count": 1, "ignored_count": 1}
    assert task["finished_at"] and task["duration_seconds"] >= 0 and "error" not in task
    assert api.call("GET", f"/api/tasks/status?group_id={group.id}")["id"] == task["id"]


def test_9_a_failed_task_says_why(start_gateway, provider):
    gateway = start_gateway(workers=1)
    api = gateway.api
    group = api.create_group(provider.origin)
    gateway.stop_master()
    task = api.call("POST", "/api/keys/add-async", {"group_id": group.id, "keys_text": "k"})
    group.delete()
    gateway.start_master()
    shown = ended(api, task)
    assert (shown["state"], shown["error"]) == ("failed", f"there is no group {group.id}")
    assert "result" not in shown
    shown = api.raw("GET", f"/api/tasks/{task['id']}", headers={"Accept-Language": "zh-CN"})
    assert shown.json()["data"]["error"] == f"没有分组 {group.id}"


# --- 10: the threshold ---

def use(gateway, group, n):
    for _ in range(n):
        gateway.ask(group)


def test_10_the_third_failure_takes_a_key_out(gateway, api, provider, make_group):
    provider.on(answer(401, json={"error": {"message": "no"}}), key="bad")
    group = make_group(keys=["bad"]).configure(blacklist_threshold=3, max_retries=0)
    use(gateway, group, 2)
    assert (group.key("bad")["failure_count"], group.status_of("bad")) == (2, "active")
    use(gateway, group, 1)
    group.wait_status("bad", "invalid")
    group.restore("bad")
    assert (group.key("bad")["failure_count"], group.status_of("bad")) == (0, "active")
    use(gateway, group, 2)
    assert group.status_of("bad") == "active"


def test_10_a_threshold_of_0_never_does(gateway, provider, make_group):
    provider.on(answer(401, json={"error": {"message": "no"}}), key="bad")
    group = make_group(keys=["bad"]).configure(blacklist_threshold=0, max_retries=0)
    use(gateway, group, 10)
    assert group.status_of("bad") == "active"


# --- 11: trends (windows that are full are in tests/unit/test_admin_dashboard.c, which has
# a clock of its own) ---

def test_11_trends_of_empty_and_half_empty_windows(start_gateway, provider):
    gateway = start_gateway(workers=1)
    stats = gateway.api.call("GET", "/api/dashboard/stats")
    for card in ("rpm", "request_count", "error_rate"):
        assert (stats[card]["value"], stats[card]["trend"]) == (0, 0), card
        assert stats[card]["trend_is_growth"] is True, card
    group = gateway.api.create_group(provider.origin, keys=["k"])
    group.configure(max_retries=0)
    provider.on(answer(500), times=1)
    use(gateway, group, 4)
    group.logs(4)
    stats = gateway.api.call("GET", "/api/dashboard/stats")
    assert (stats["rpm"]["value"], stats["rpm"]["trend"]) == (0.4, 100)
    assert stats["request_count"]["value"] == 4
    assert (stats["error_rate"]["value"], stats["error_rate"]["unit"]) == (25, "percent")
    assert group.stats()["stats_24_hour"] == {
        "total_requests": 4, "failed_requests": 1, "failure_rate": 0.25}
    chart = gateway.api.call("GET", f"/api/dashboard/chart?groupId={group.id}")
    assert [sum(series["data"]) for series in chart["datasets"]] == [3, 1]
    assert len(chart["labels"]) == 24


# --- 12: lists of status codes ---

@pytest.mark.parametrize("codes, good", [
    ("404", True), ("250-260", True), ("400-403, 405-999", True), ("", True), ("404\n500", True),
    ("99", False), ("500-400", False), ("abc", False), ("1000", False), ("400-", False)])
def test_12_lists_of_status_codes(api, make_group, settings, codes, good):
    group = make_group()
    if good:
        settings(failover_status_codes=codes)
        assert group.configure(failover_status_codes=codes).data["config"]
        return
    assert refused(api, "PUT", "/api/settings", {"failover_status_codes": codes}) == INVALID
    assert refused(api, "PUT", f"/api/groups/{group.id}", {
        "config": {"failover_status_codes": codes}}) == INVALID


# --- 13: filters of the log ---

@pytest.fixture
def rows(gateway, provider, make_group):
    """One good request, one that fails after a retry, through an aggregate."""
    group = make_group(keys=[unique("a"), unique("b")]).configure(max_retries=1)
    whole = gateway.api.create_aggregate((group, 1))
    gateway.ask(whole, json={"model": "model_1%", "messages": []})
    provider.on(answer(503, json={"error": {"message": "100% full"}}))
    gateway.ask(whole, json={"model": "other", "messages": []})
    return group, whole, group.logs(3)


def test_13_each_filter(api, rows):
    group, whole, found = rows
    good, retried, failed = found
    filters = [
        ({"parent_group_name": whole.name[1:-1]}, [good, retried, failed]),
        ({"model": "l_1%"}, [good]), ({"model": "l_2"}, []), ({"model": "%"}, [good]),
        ({"error_contains": "100% f"}, [retried, failed]), ({"error_contains": "1_0"}, []),
        ({"is_success": "true"}, [good]), ({"is_success": "0"}, [retried, failed]),
        ({"request_type": "retry"}, [retried]), ({"status_code": "503"}, [retried, failed]),
        ({"source_ip": "127.0.0.1"}, [good, retried, failed]), ({"source_ip": "127.0.0"}, []),
        ({"request_id": failed["request_id"]}, [retried, failed]),
        ({"start_time": retried["timestamp"]}, [retried, failed]),
        ({"end_time": good["timestamp"]}, [good]),
        ({"start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59Z"},
         [good, retried, failed]),
        ({"is_success": "false", "request_type": "final", "status_code": "503"}, [failed]),
    ]
    for wanted, expected in filters:
        ids = {row["id"] for row in api.logs(group_name=group.name, **wanted)}
        assert ids == {row["id"] for row in expected}, wanted
    for by in ("key_value", "key_hash"):
        ids = {row["id"] for row in api.logs(group_name=group.name, **{by: good[by]})}
        assert ids == {row["id"] for row in found if row["key_hash"] == good["key_hash"]}


@pytest.mark.parametrize("bad", ["status_code=4xx", "status_code=NaN", "is_success=yes!",
                                 "request_type=first", "start_time=today", "end_time=1700000000"])
def test_13_a_filter_that_cannot_be_read_is_refused(api, bad):
    assert refused(api, "GET", f"/api/logs?{bad}") == INVALID
    assert refused(api, "GET", f"/api/logs/export?{bad}") == INVALID


# --- 14: do the stored keys fit the ENCRYPTION_KEY ---

@pytest.mark.parametrize("stored_with, looked_at_with, scenario", [
    (None, None, ""), ("a-password", "a-password", ""), (None, "a-password", "data_not_encrypted"),
    ("a-password", None, "key_not_configured"), ("a-password", "another", "key_mismatch")])
def test_14_encryption_status(start_gateway, provider, stored_with, looked_at_with, scenario):
    gateway = start_gateway(workers=1, ENCRYPTION_KEY=stored_with)
    gateway.api.create_group(provider.origin, keys=[unique("sk") for _ in range(5)])
    gateway.stop_web()
    gateway.stop_master()
    gateway.set_environment(ENCRYPTION_KEY=looked_at_with)
    got = gateway.run_cgi("dashboard.cgi", "GET", "/api/dashboard/encryption-status",
                          headers={"Accept-Language": "en-US"}).json()["data"]
    assert (got["has_mismatch"], got["scenario_type"]) == (scenario != "", scenario)
    assert bool(got["message"]) == bool(got["suggestion"]) == (scenario != "")
    assert "a-password" not in str(got)


def test_14_without_keys_everything_fits(start_gateway):
    gateway = start_gateway(workers=1, ENCRYPTION_KEY="a-password")
    assert gateway.api.call("GET", "/api/dashboard/encryption-status")["has_mismatch"] is False
