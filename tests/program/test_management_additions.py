# SPDX-License-Identifier: MIT
"""What the management API has beyond GPT-Load 1.4's: masked lists and revealing, bulk
actions, the preview and report of imports, why a key is out, tests of upstreams."""

import time

import pytest

from lib.api import unique
from lib.ports import free_port
from lib.provider import Provider, answer, never
from lib.vendors import openai_bad_key
from lib.wait import until

MASK = {"X-Mask-Keys": "true"}


def ok(response):
    assert response.status == 200, response.text
    return response.json()["data"]


def masked(key):
    return f"{key[:4]}****{key[-4:]}"


# --- masks ---

def test_lists_are_masked_where_the_header_asks(gateway, api, provider):
    key, client = unique("sk-upstream-key-number"), unique("pk-client-key-number")
    group = api.create_group(provider.origin, keys=[key], proxy_keys=client)
    gateway.ask(group)
    (log,) = group.logs(1)
    row = group.key(key)
    for target in (f"/api/keys?group_id={group.id}", f"/api/keys/{row['id']}", "/api/groups",
                   f"/api/groups/{group.id}", f"/api/logs?group_name={group.name}",
                   f"/api/logs/{log['id']}", "/api/settings"):
        text = api.raw("GET", target, headers=MASK).text
        assert key not in text and client not in text, target
        assert "/api/settings" in target or masked(key) in text or masked(client) in text, target
    text = api.raw("POST", "/api/keys/test-multiple", {"group_id": group.id, "keys_text": key},
                   headers=MASK).text
    assert masked(key) in text and key not in text
    text = api.raw("PUT", f"/api/groups/{group.id}", {"proxy_keys": masked(client)},
                   headers=MASK).text
    assert masked(client) in text
    assert api.call("GET", f"/api/groups/{group.id}")["proxy_keys"] == client
    for other in ({}, {"X-Mask-Keys": "false"}, {"X-Mask-Keys": ""}):
        assert key in api.raw("GET", f"/api/keys?group_id={group.id}", headers=other).text


def test_a_masked_row_is_found_by_its_hash(gateway, api, provider):
    keys = [unique("sk") for _ in range(2)]
    group = api.create_group(provider.origin, keys=keys)
    gateway.ask(group)
    (log,) = group.logs(1)
    query = f"group_id={group.id}&key_hash={log['key_hash']}"
    (row,) = api.call("GET", f"/api/keys?{query}")["items"]
    assert row["key_value"] == log["key_value"]
    assert len(api.logs(key_hash=row["key_hash"])) == 1
    assert api.logs(key_hash="0" * 64) == []


def test_reveal_is_noted_in_the_log_without_the_key(start_gateway, provider):
    gateway = start_gateway(workers=1, MASK_KEYS="true")
    api = gateway.api
    key, client = "sk-upstream-key-abcdef", "pk-client-key-abcdef"
    group = api.create_group(provider.origin, keys=[key], proxy_keys=client)
    api.set(proxy_keys="pk-for-all-groups-abcdef")
    (row,) = group.key_list()
    assert row["key_value"] == masked(key)
    revealed = api.call("POST", f"/api/keys/{row['id']}/reveal")
    assert revealed == {"id": row["id"], "group_id": group.id, "key_value": key}
    assert api.call("POST", f"/api/groups/{group.id}/reveal") == {"proxy_keys": client}
    assert api.call("POST", "/api/settings/reveal") == {"proxy_keys": "pk-for-all-groups-abcdef"}
    text = gateway.log_text()
    assert f"revealed to 127.0.0.1: upstream key {row['id']}" in text
    assert f"revealed to 127.0.0.1: client keys of group {group.id}" in text
    assert "revealed to 127.0.0.1: client keys of all groups" in text
    assert not [secret for secret in (key, client, "pk-for-all") if secret in text]
    got = api.raw("GET", f"/api/keys/{row['id']}/reveal")
    assert (got.status, got.header("allow")) == (405, "POST, OPTIONS")


# --- bulk actions ---

class Selection:
    def __init__(self, api, group, ids):
        self.api, self.group, self.ids = api, group, ids

    def do(self, action, **more):
        return self.api.call("POST", "/api/keys/bulk", {
            "group_id": self.group.id, "action": action, "ids": self.ids, **more})

    def rows(self):
        return [self.api.call("GET", f"/api/keys/{i}") for i in self.ids]


@pytest.fixture
def selection(api, provider):
    group = api.create_group(provider.origin, keys=[unique("sk") for _ in range(5)])
    ids = sorted(row["id"] for row in group.key_list())
    return Selection(api, group, ids[:3])


def test_keys_are_disabled_and_enabled_together(gateway, api, selection):
    done = selection.do("disable", reason="over budget")
    assert done == {"action": "disable", "changed_count": 3, "unchanged_count": 0,
                    "missing_ids": []}
    assert {row["disabled_reason"] for row in selection.rows()} == {"over budget"}
    assert selection.group.stats()["key_stats"]["disabled_keys"] == 3
    for _ in range(4):
        gateway.ask(selection.group)
    used = {row["key_hash"] for row in selection.group.logs(4)}
    assert not used & {row["key_hash"] for row in selection.rows()} and len(used) == 2
    assert selection.do("disable")["unchanged_count"] == 3
    assert selection.do("enable")["changed_count"] == 3
    assert {(r["status"], r["disabled_reason"]) for r in selection.rows()} == {("active", "")}


def test_keys_of_another_group_are_left_alone(api, provider, selection):
    other = api.create_group(provider.origin, keys=["sk-other"])
    foreign = other.key("sk-other")["id"]
    selection.ids = [foreign, selection.ids[0], 999999999, selection.ids[0]]
    done = selection.do("delete")
    assert (done["changed_count"], done["missing_ids"]) == (1, [foreign, 999999999])
    assert other.status_of("sk-other") == "active"
    assert selection.group.stats()["key_stats"]["total_keys"] == 4


@pytest.mark.parametrize("text", ["a\0b", "a\x1b[2J"])
def test_what_no_terminal_and_not_every_database_takes_is_not_noted(api, selection, text):
    one = f"/api/keys/{selection.ids[0]}"
    bulk = {"group_id": selection.group.id, "ids": selection.ids}
    for method, path, body in (
            ("PUT", one + "/notes", {"notes": text}),
            ("PUT", one + "/status", {"status": "disabled", "reason": text}),
            ("POST", "/api/keys/bulk", {**bulk, "action": "notes", "notes": text}),
            ("POST", "/api/keys/bulk", {**bulk, "action": "disable", "reason": text})):
        got = api.raw(method, path, body)
        assert (got.status, got.json()["code"]) == (400, "VALIDATION_FAILED"), (path, body)
    assert {(row["notes"], row["status"]) for row in selection.rows()} == {("", "active")}
    api.call("PUT", one + "/notes", {"notes": "two\nlines"})


def test_notes_of_several_keys_are_all_or_none(api, selection):
    assert selection.do("notes", notes="team a")["changed_count"] == 3
    got = api.raw("POST", "/api/keys/bulk", {"group_id": selection.group.id, "action": "notes",
                                             "ids": selection.ids, "notes": "x" * 256})
    assert got.status == 400
    assert {row["notes"] for row in selection.rows()} == {"team a"}


def test_selected_keys_are_tested(api, provider):
    provider.on(answer(401, json={"error": {"message": "no"}}), key="bad")
    group = api.create_group(provider.origin, keys=["bad", "good"]).configure(blacklist_threshold=1)
    ids = {row["key_value"]: row["id"] for row in group.key_list()}
    done = Selection(api, group, list(ids.values())).do("test")
    assert (done["changed_count"], done["unchanged_count"]) == (1, 1)
    by_key = {row["key_value"]: row for row in done["results"]}
    assert {row["id"] for row in done["results"]} == set(ids.values())
    assert (by_key["good"]["is_valid"], by_key["good"]["status"]) == (True, 200)
    assert (by_key["bad"]["is_valid"], by_key["bad"]["status"]) == (False, 401)
    assert "error" not in by_key["good"] and "no" in by_key["bad"]["error"]
    assert group.status_of("bad") == "invalid"


# --- why a key is out ---

def test_why_a_key_is_out_outlives_the_pool(start_gateway, provider):
    provider.on(answer(403, json={"error": {"message": "account closed"}}), key="sk-out")
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-out"])
    group.configure(blacklist_threshold=1, max_retries=0)
    gateway.ask(group)
    group.wait_status("sk-out", "invalid")
    before = group.key("sk-out")
    assert (before["last_status"], before["state"]) == (403, "invalid")
    assert "account closed" in before["last_error"]
    assert before["last_failed_at"] and before["next_check_at"] > before["last_failed_at"]
    gateway.stop_web()
    gateway.stop_master()
    for file in gateway.pool_files():
        file.unlink()
    got = gateway.run_cgi("keys.cgi", "GET", f"/api/keys/{before['id']}").json()["data"]
    for name in ("status", "last_status", "last_error", "failure_count"):
        assert got[name] == before[name], name
    assert got["last_failed_at"] is not None


# --- imports ---

TEXT = "sk-new-1, sk-new-1\nsk-old\n" + "x" * 5000 + "\nsk-new-2;sk-\x01bad\n"


def finished(api, task):
    until(lambda: not api.call("GET", f"/api/tasks/{task['id']}")["is_running"], "the task ends")
    return api.call("GET", f"/api/tasks/{task['id']}/report")


def test_a_preview_says_what_the_import_then_does(api, provider):
    group = api.create_group(provider.origin, keys=["sk-old"])
    body = {"group_id": group.id, "keys_text": TEXT}
    preview = api.call("POST", "/api/keys/import-preview", body)
    assert preview["counts"] == {"total": 6, "new": 2, "duplicate_in_text": 1,
                                 "duplicate_in_group": 1, "malformed": 2}
    assert [(one["line"], one["reason"]) for one in preview["malformed"]] == [
        (3, "too_long"), (4, "control_character")]
    assert all(len(one["sample"]) <= 12 and one["message"] for one in preview["malformed"])
    assert preview["malformed_left_out"] == 0
    assert len(group.key_list()) == 1
    report = finished(api, api.call("POST", "/api/keys/add-async", body))
    assert report["task"]["state"] == "done"
    assert report["task"]["result"] == {"added_count": 2, "ignored_count": 4}
    for part in ("counts", "malformed", "malformed_left_out"):
        assert report[part] == preview[part]
    assert {row["key_value"] for row in group.key_list()} == {"sk-old", "sk-new-1", "sk-new-2"}


def test_a_report_is_bounded(api, provider):
    group = api.create_group(provider.origin)
    text = "\n".join(["k\x02"] * 250 + [unique("sk")])
    report = finished(api, api.call("POST", "/api/keys/add-async",
                                    {"group_id": group.id, "keys_text": text}))
    assert (report["counts"]["new"], report["counts"]["malformed"]) == (1, 250)
    assert (len(report["malformed"]), report["malformed_left_out"]) == (100, 150)


def test_a_report_of_another_task(api, provider):
    group = api.create_group(provider.origin, keys=["sk-v"])
    report = finished(api, api.call("POST", "/api/keys/validate-group", {"group_id": group.id}))
    assert (report["counts"], report["malformed"]) == (None, [])
    assert (report["causes"], report["causes_left_out"]) == ([], 0)
    assert report["task"]["result"] == {"total_keys": 1, "valid_keys": 1, "invalid_keys": 0}


def refuse(provider, status, key, message):
    provider.on(answer(status, json={"error": {"message": message}}), key=key)


def test_a_validation_counts_every_failure_by_its_cause(api, provider):
    """More keys than one portion has, each refused in words of its own."""
    keys = [unique("sk-tried") for _ in range(230)]
    group = api.create_group(provider.origin, keys=keys)
    for n, key in enumerate(keys):
        if n < 160:
            refuse(provider, 401, key, f"Incorrect API key {key[:6]}***{key[-4:]} (req_{n}abcdef)")
        elif n < 220:
            refuse(provider, 429, key, f"Quota is used up: \"plan\" {key}")
    report = finished(api, api.call("POST", "/api/keys/validate-group", {"group_id": group.id}))
    assert report["task"]["result"] == {"total_keys": 230, "valid_keys": 10, "invalid_keys": 220}
    assert report["causes"] == [
        {"error": "[status 401] Incorrect API key sk-… (req_…)", "count": 160},
        {"error": "[status 429] Quota is used up: \"plan\" [redacted]", "count": 60}]
    assert report["causes_left_out"] == 0


def test_rare_causes_are_only_counted(api, provider):
    keys = [unique("sk-odd") for _ in range(55)]
    group = api.create_group(provider.origin, keys=keys)
    for n, key in enumerate(keys):
        refuse(provider, 403, key, f"no, because of {n} things")
    report = finished(api, api.call("POST", "/api/keys/validate-group", {"group_id": group.id}))
    assert [one["count"] for one in report["causes"]] == [1] * 40
    assert report["causes_left_out"] == 15


def test_several_groups_have_a_task_at_once(api, provider):
    provider.on(never(), key="sk-slow")
    groups = [api.create_group(provider.origin, keys=["sk-slow"]) for _ in range(3)]
    tasks = [api.call("POST", "/api/keys/validate-group", {"group_id": g.id}) for g in groups]
    until(lambda: all(api.call("GET", f"/api/tasks/{t['id']}")["is_running"] for t in tasks),
          "all run")
    for group, task in zip(groups, tasks):
        assert [t["id"] for t in api.call("GET", f"/api/tasks?group_id={group.id}")] == [task["id"]]
        api.call("POST", f"/api/tasks/{task['id']}/cancel")
    for task in tasks:
        assert finished(api, task)["task"]["state"] == "cancelled"


# --- testing an upstream ---

def try_upstream(api, url, **more):
    return api.call("POST", "/api/upstreams/test", {"channel_type": "openai", "url": url,
                                                    "test_model": "m", **more})


def test_an_upstream_that_is_well(api, provider):
    got = try_upstream(api, provider.origin, key="sk-right", header_rules=[
        {"key": "x-team", "value": "${GROUP_NAME}-a", "action": "set"}])
    assert (got["outcome"], got["status"], got["key_accepted"]) == ("ok", 200, True)
    assert provider.origin.startswith(f"http://{got['remote_ip']}:")
    assert (got["http_version"], got["message"]) == ("1.1", "")
    assert got["tls_ms"] is None and got["total_ms"] >= got["first_byte_ms"] >= 0
    request = provider.last
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.header("authorization") == "Bearer sk-right"
    assert request.header("x-team") == "test-a"


def test_an_upstream_without_a_key(api, provider):
    provider.on(answer(404, json={"error": {"message": "no such path"}}), method="GET")
    got = try_upstream(api, provider.origin + "/base")
    assert (got["outcome"], got["reachable"], got["status"]) == ("ok", True, 404)
    assert got["key_accepted"] is None
    request = provider.last
    assert (request.method, request.path) == ("GET", "/base")
    assert request.header("authorization") is None


@pytest.mark.parametrize("status, accepted", [(401, False), (403, False), (500, None), (429, None)])
def test_an_upstream_that_refuses(api, provider, status, accepted):
    provider.on(answer(status, json={"error": {"message": "not sk-given-here-1234567"}}))
    got = try_upstream(api, provider.origin, key="sk-given-here-1234567")
    assert (got["outcome"], got["status"], got["key_accepted"]) == ("http_error", status, accepted)
    assert "sk-given-here-1234567" not in str(got) and "not" in got["message"]


def test_a_redirect_is_told_and_not_followed(api, provider, second_provider):
    provider.on(answer(302, headers={"Location": second_provider.origin + "/secret"}))
    got = try_upstream(api, provider.origin, key="sk-x")
    assert (got["outcome"], got["status"]) == ("http_error", 302)
    assert got["redirected_to"] == second_provider.origin + "/secret"
    assert not second_provider.keys and provider.keys == ["sk-x"]


def test_a_stored_key_goes_nowhere_but_to_the_upstream_that_is_named(api, provider,
                                                                     second_provider):
    group = api.create_group(provider.origin, keys=["sk-stored"])
    other = second_provider.origin.removeprefix("http://")
    for path in (f"@{other}/v1", f"http://{other}/", "v1/chat", "/with blank"):
        got = api.raw("POST", "/api/upstreams/test", {
            "channel_type": "openai", "url": provider.origin, "test_model": "m",
            "key_id": group.key("sk-stored")["id"], "validation_endpoint": path})
        assert (got.status, got.json()["code"]) == (400, "VALIDATION_FAILED"), path
    assert not second_provider.keys and not provider.keys


@pytest.mark.parametrize("url, more, outcome", [
    ("http://no-such-host.invalid", {}, "dns_failed"),
    ("http://127.0.0.1:{closed}", {}, "connect_failed"),
    ("http://example.test", {"proxy_url": "http://no-such-proxy.invalid:8080"}, "proxy_failed"),
])
def test_an_upstream_that_is_not_reached(api, url, more, outcome):
    url = url.format(closed=free_port())
    got = try_upstream(api, url, key="sk-x", **more)
    assert (got["outcome"], got["reachable"], got["status"]) == (outcome, False, 0)
    assert got["message"] and got["key_accepted"] is None


def test_an_upstream_whose_certificate_is_unknown(api, certificates):
    with Provider(certificates[1:]) as provider:
        got = try_upstream(api, provider.origin, key="sk-x")
        assert (got["outcome"], got["reachable"]) == ("tls_failed", False)
        assert got["remote_ip"] and "certificate" in got["message"]
        assert not provider.keys


def test_an_upstream_that_is_silent(api, provider):
    provider.on(never())
    began = time.monotonic()
    got = try_upstream(api, provider.origin, key="sk-x", timeout_seconds=1)
    assert got["outcome"] == "timeout"
    assert got["connect_ms"] is not None and got["first_byte_ms"] is None
    assert 900 <= got["total_ms"] < 5000 and time.monotonic() - began < 10


def test_a_stored_key_is_tried_and_noted(start_gateway, provider):
    gateway = start_gateway(workers=1)
    key = "sk-stored-key-number-one"
    group = gateway.api.create_group(provider.origin, keys=[key])
    row = group.key(key)
    provider.on(answer(401, json={"error": {"message": "no"}}), key=key)
    got = try_upstream(gateway.api, provider.origin, key_id=row["id"])
    assert got["key_accepted"] is False and key not in str(got)
    assert group.key(key)["failure_count"] == 0, "a test of an upstream is none of the key"
    assert f"upstream key {row['id']} is tried at {provider.origin}" in gateway.log_text()
    assert key not in gateway.log_text()


# --- settings, version ---

def test_who_overrides_a_setting(api, provider):
    group = api.create_group(provider.origin, config={"max_retries": 0},
                             options={"stream_heartbeat_seconds": 9}, display_name="Shown")
    settings = {s["key"]: s for c in api.call("GET", "/api/settings") for s in c["settings"]}

    def by_us(key):
        return [o for o in settings[key]["overridden_by"] if o["group_id"] == group.id]
    assert by_us("max_retries") == [
        {"group_id": group.id, "name": group.name, "display_name": "Shown", "value": 0}]
    assert by_us("stream_heartbeat_seconds")[0]["value"] == 9
    assert not by_us("request_timeout") and not settings["app_url"]["overridden_by"]
    scopes = {key: s["scope"] for key, s in settings.items()}
    assert (scopes["app_url"], scopes["max_retries"], scopes["stream_idle_timeout"]) == (
        "system", "config", "options")


def test_limits_are_named_and_kept(api, provider):
    limits = api.call("GET", "/api/version")["limits"]
    group = api.create_group(provider.origin)
    for n, status in ((limits["bulk_ids"], 200), (limits["bulk_ids"] + 1, 400)):
        got = api.raw("POST", "/api/keys/bulk", {"group_id": group.id, "action": "enable",
                                                 "ids": list(range(1, n + 1))})
        assert got.status == status
    for n, status in ((limits["sync_keys"], 200), (limits["sync_keys"] + 1, 400)):
        got = api.raw("POST", "/api/keys/add-multiple", {
            "group_id": group.id, "keys_text": " ".join(f"k{i}" for i in range(n))})
        assert got.status == status


# --- finding ---


def test_keys_are_found_by_their_values_without_one_in_an_address(gateway, make_group):
    group, other = make_group(keys=["sk-find-one", "sk-find-two"]), make_group(keys=["sk-else"])
    found = gateway.api.call("POST", "/api/keys/find", {
        "group_id": group.id, "keys_text": "sk-find-two sk-else sk-nowhere"})
    assert [(row["group_id"], row["key_value"]) for row in found["items"]] == [
        (group.id, "sk-find-two")]
    assert gateway.api.call("POST", "/api/keys/find", {
        "group_id": other.id, "keys_text": "sk-find-two"}) == {"items": []}


# --- the order of keys ---


def test_keys_are_sorted_and_searched(gateway, provider, make_group):
    keys = [f"sk-sort-{n}" for n in range(3)]
    group = make_group(keys=keys)
    ids = {row["key_value"]: row["id"] for row in group.key_list()}
    gateway.api.call("PUT", f"/api/keys/{ids[keys[1]]}/notes", {"notes": "50% of team_a"})

    def listed(query):
        return [row["key_value"] for row in gateway.api.call(
            "GET", f"/api/keys?group_id={group.id}&{query}")["items"]]
    assert listed("sort=added&order=asc") == keys
    assert listed("sort=added") == keys[::-1]
    provider.on(openai_bad_key(), key=keys[2])
    for _ in range(4):
        gateway.ask(group)
    gateway.api.logs(4, group_name=group.name)
    assert listed("sort=failures")[0] == keys[2]
    assert listed("sort=failures&order=asc")[-1] == keys[2]
    assert listed("sort=requests&order=asc")[0] == keys[2]
    assert listed("sort=last_used&order=asc")[0] == keys[2]
    assert listed("contains=50%25") == [keys[1]]
    assert listed("contains=5_%25") == []  # no wildcards
    assert listed("contains=incorrect+api+key") == [keys[2]] or listed(
        "contains=Incorrect+API+key") == [keys[2]]
    used = {row["key_value"] for row in group.key_list() if row["last_used_at"]}
    assert used
    assert set(listed("idle=never")) == set(keys) - used == set(listed("idle=1&sort=added"))
    assert listed("idle=never&contains=50%25") == [key for key in keys[1:2] if key not in used]
    for bad in ("sort=value", "order=up", "idle=0", "idle=often", "idle=3651"):
        assert gateway.api.raw("GET", f"/api/keys?group_id={group.id}&{bad}").status == 400
