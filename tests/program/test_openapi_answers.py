# SPDX-License-Identifier: MIT
"""Every route of admin-cgi/openapi.json, asked well and badly, by FastCGI behind the web
server and by its own program as plain CGI: each answer has a status and a form that the
document promises."""

import json

import pytest

from lib import openapi, routes
from lib.api import unique
from lib.gateway import AUTH_KEY
from lib.openapi import BY_ID, OPERATIONS
from lib.provider import Provider, never

PROXY = "getGroupIntegrationInfo"
NOBODY = 999999999


class World:
    """A gateway with something of everything in it."""

    def __init__(self, gateway, provider):
        self.gateway = gateway
        self.api = gateway.api
        self.provider = provider
        self.keys = [unique("sk-world") for _ in range(4)]
        self.group = self.fresh(keys=self.keys, config={"max_retries": 1},
                                options={"stream_heartbeat_seconds": 5}, proxy_keys="pk-one,pk-two",
                                header_rules=[{"key": "x-one", "value": "1", "action": "set"},
                                              {"key": "x-two", "value": "", "action": "remove"}],
                                param_overrides={"temperature": 1, "nested": {"a": [None]}},
                                model_redirect_rules={"a": "b"})
        self.aggregate = self.api.create_aggregate((self.group, 3))
        gateway.ask(self.group)
        self.log = self.group.logs(1)[0]
        self.key = self.group.key(self.keys[0])

    def fresh(self, **fields):
        return self.api.create_group(self.provider.origin, **fields)

    def task(self, group=None):
        group = group or self.fresh()
        return self.api.call("POST", "/api/keys/add-async", {
            "group_id": group.id, "keys_text": f"{unique('sk')}\n{'x' * 5000}\nsk-same sk-same"})


@pytest.fixture(scope="module")
def world(gateway):
    with Provider() as provider:
        yield World(gateway, provider)


class Web:
    """Through the web server and api.fcgi."""

    def ask(self, world, operation, target, value, body, headers):
        return world.api.raw(operation.method, target, value, body, headers)


class Cgi:
    """The program that has the route alone, one process a request."""
    programs = routes.programs()

    def ask(self, world, operation, target, value, body, headers):
        program = self.programs[(operation.method, operation.path)]
        return world.gateway.run_cgi(program, operation.method, target, value, headers, body)


def ask(mode, world, case):
    """Asks, and has the answer checked against the document."""
    operation, wanted = case[0], case[1](world) or {}
    target = operation.example_path(**wanted.get("path", {})) + wanted.get("query", "")
    got = mode.ask(world, operation, target, wanted.get("value"), wanted.get("body"),
                   wanted.get("headers"))
    operation.check(got)
    return got


def form(group, name="keys.txt", text="sk-form-1\nsk-form-2"):
    boundary = "a-boundary"
    parts = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"group_id\"\r\n\r\n{group}\r\n"
             f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\""
             f"\r\n\r\n{text}\r\n--{boundary}--\r\n")
    return {"body": parts.encode(),
            "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


MASK = {"X-Mask-Keys": "true"}


def of_group(w):
    return {"path": {"id": w.group.id}}


def of_key(w, **more):
    return {"path": {"id": w.key["id"]}, **more}


def text(w, **more):
    return {"value": {"group_id": w.fresh(keys=["sk-a", "sk-b"]).id, "keys_text": "sk-a, sk-c",
                      **more}}


def bulk(w, action, **more):
    group = w.fresh(keys=[unique("sk") for _ in range(2)])
    ids = [row["id"] for row in group.key_list()]
    return {"value": {"group_id": group.id, "action": action, "ids": [*ids, NOBODY], **more}}


def upstream(w, **more):
    return {"value": {"channel_type": "openai", "url": w.provider.origin, **more}}


GOOD = [
    ("getHealth", lambda w: {}),
    ("getMetrics", lambda w: {}),
    ("getVersion", lambda w: {}),
    ("login", lambda w: {"value": {"auth_key": AUTH_KEY}}),
    ("getIntegrationInfo", lambda w: {"query": f"?key={AUTH_KEY}"}),
    ("getIntegrationInfo", lambda w: {"query": "?key=pk-one"}),
    ("listChannelTypes", lambda w: {}),
    ("listGroups", lambda w: {}),
    ("listGroups", lambda w: {"headers": MASK}),
    ("createGroup", lambda w: {"value": {
        "name": unique(), "channel_type": "openai", "test_model": "m",
        "upstreams": [{"url": "https://a.example/v1?x=1", "weight": 0},
                      {"url": "http://b.example", "weight": 1000}]}}),
    ("createGroup", lambda w: {"value": {"name": unique(), "channel_type": "gemini",
                                         "group_type": "aggregate", "more": 1}}),
    ("listGroupNames", lambda w: {}),
    ("listConfigOptions", lambda w: {}),
    ("reorderGroups", lambda w: {"value": {"items": [{"id": w.group.id, "sort": 0}]}}),
    ("getGroup", of_group),
    ("updateGroup", lambda w: {**of_group(w), "value": {"description": "x", "sort": -1}}),
    ("updateGroup", lambda w: {**of_group(w), "value": {}}),
    ("deleteGroup", lambda w: {"path": {"id": w.fresh().id}}),
    ("getGroupStats", of_group),
    ("copyGroup", lambda w: {**of_group(w), "value": {"copy_keys": "valid_only"}}),
    ("copyGroup", lambda w: {**of_group(w), "value": {}}),
    ("revealGroupKeys", of_group),
    ("listMembers", lambda w: {"path": {"id": w.aggregate.id}}),
    ("addMembers", lambda w: {"path": {"id": w.aggregate.id}, "value": {
        "sub_groups": [{"group_id": w.fresh().id}, {"group_id": w.fresh().id, "weight": 1000}]}}),
    ("setMemberWeight", lambda w: {"path": {"id": w.aggregate.id, "subGroupId": w.group.id},
                                   "value": {"weight": 7}}),
    ("removeMember", lambda w: (lambda g: {"path": {
        "id": w.api.create_aggregate((g, 1)).id, "subGroupId": g.id}})(w.fresh())),
    ("listParents", of_group),
    ("listParents", lambda w: {"path": {"id": NOBODY}}),
    ("testUpstream", upstream),
    ("testUpstream", lambda w: upstream(w, key="sk-x", test_model="m", timeout_seconds=5)),
    ("testUpstream", lambda w: upstream(w, key_id=w.key["id"], test_model="m")),
    ("testUpstream", lambda w: {"value": {"channel_type": "gemini", "url": "http://nx.invalid"}}),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&status=active&page=2&page_size=1"}),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&key_value={w.keys[1]}"}),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&idle=never&sort=added"}),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&key_hash={w.key['key_hash']}",
                            "headers": MASK}),
    ("exportKeys", lambda w: {"query": f"?group_id={w.group.id}&status=all"}),
    ("addKeys", text), ("deleteKeys", text), ("restoreKeys", text), ("testKeys", text),
    ("findKeys", text), ("findKeys", lambda w: text(w, keys_text="sk-none")),
    ("restoreAllInvalidKeys", lambda w: {"value": {"group_id": w.group.id}}),
    ("clearAllInvalidKeys", lambda w: {"value": {"group_id": w.group.id}}),
    ("clearAllKeys", lambda w: {"value": {"group_id": w.fresh(keys=["sk-z"]).id}}),
    ("importKeys", text),
    ("importKeys", lambda w: form(w.fresh().id)),
    ("importKeys", lambda w: text(w, keys_text=json.dumps(["sk-1", 2, "a b", "sk-1"]))),
    ("previewImport", lambda w: text(w, keys_text="sk-a\nsk-n\nsk-n\n" + "x" * 5000)),
    ("previewImport", lambda w: text(w, keys_text=" ")),
    ("previewImport", lambda w: form(w.group.id, "KEYS.TXT")),
    ("deleteKeysInBackground", text),
    ("validateGroup", lambda w: {"value": {"group_id": w.fresh(keys=["sk-v"]).id}}),
    ("bulkKeys", lambda w: bulk(w, "disable", reason="r")),
    ("bulkKeys", lambda w: bulk(w, "enable")), ("bulkKeys", lambda w: bulk(w, "restore")),
    ("bulkKeys", lambda w: bulk(w, "notes", notes="n")), ("bulkKeys", lambda w: bulk(w, "test")),
    ("bulkKeys", lambda w: bulk(w, "delete")),
    ("bulkKeys", lambda w: {"value": {"group_id": w.group.id, "action": "test", "ids": [NOBODY]}}),
    ("getKey", of_key),
    ("getKey", lambda w: of_key(w, headers=MASK)),
    ("revealKey", of_key),
    ("setKeyNotes", lambda w: of_key(w, value={"notes": "é" * 255})),
    ("setKeyStatus", lambda w: of_key(w, value={"status": "active"})),
    ("listTasks", lambda w: {}),
    ("listTasks", lambda w: {"query": f"?group_id={w.group.id}"}),
    ("getTaskStatus", lambda w: {}),
    ("getTaskStatus", lambda w: {"query": f"?group_id={w.fresh().id}"}),
    ("getTask", lambda w: {"path": {"id": w.task()["id"]}}),
    ("getTaskReport", lambda w: {"path": {"id": w.task()["id"]}}),
    ("cancelTask", lambda w: {"path": {"id": w.task()["id"]}}),
    ("getDashboardStats", lambda w: {}),
    ("getDashboardChart", lambda w: {}),
    ("getDashboardChart", lambda w: {"query": f"?groupId={w.aggregate.id}"}),
    ("getDashboardSummary", lambda w: {}),
    ("getDashboardSummary", lambda w: {"query": f"?range=1h&group_id={w.group.id}"}),
    ("getDashboardErrors", lambda w: {"query": "?range=7d"}),
    ("getDashboardErrors", lambda w: {"query": f"?group_id={w.group.id}"}),
    ("getEncryptionStatus", lambda w: {}),
    ("listLogs", lambda w: {"query": f"?group_name={w.group.name}&is_success=t&status_code=200"
                                     "&request_type=final&start_time=2020-01-01T00:00:00Z"}),
    ("listLogs", lambda w: {"query": "?status_class=2xx&with_bodies=false"}),
    ("listLogs", lambda w: {"query": f"?key_hash={w.log['key_hash']}", "headers": MASK}),
    ("listLogs", lambda w: {"query": f"?group_id={w.group.id}&after={w.log['id']}"}),
    ("exportLogKeys", lambda w: {"query": f"?group_name={w.group.name}"}),
    ("getLog", lambda w: {"path": {"uuid": w.log["id"]}}),
    ("getSettings", lambda w: {}),
    ("getSettings", lambda w: {"headers": MASK}),
    ("updateSettings", lambda w: {"value": {}}),
    ("updateSettings", lambda w: {"value": {"max_idle_conns": 100}}),
    ("revealProxyKeys", lambda w: {}),
]


def lost(w):
    return {"path": {"id": NOBODY}}


def no_number(w):
    return {"path": {"id": "x1"}}


def valued(make):
    """The same with a body that is fine, so that the path is what is looked at."""
    return lambda w: {**make(w), "value": {}}


BAD = [
    ("login", lambda w: {"value": {}}, 400, None),
    ("login", lambda w: {"body": b"{"}, 400, None),
    ("login", lambda w: {"body": b""}, 400, None),
    ("getIntegrationInfo", lambda w: {}, 400, "VALIDATION_FAILED"),
    ("getIntegrationInfo", lambda w: {"query": "?key=opens-nothing"}, 401, "UNAUTHORIZED"),
    ("createGroup", lambda w: {"body": b"no json"}, 400, "INVALID_JSON"),
    ("createGroup", lambda w: {"body": b""}, 400, "INVALID_JSON"),
    ("createGroup", lambda w: {"value": []}, 400, "INVALID_JSON"),
    ("createGroup", lambda w: {"value": {"name": 7}}, 400, "INVALID_JSON"),
    ("createGroup", lambda w: {"value": {"name": unique(), "channel_type": "odd"}}, 400,
     "VALIDATION_FAILED"),
    ("createGroup", lambda w: {"value": {
        "name": w.group.name, "channel_type": "openai", "test_model": "m",
        "upstreams": [{"url": "http://a.example", "weight": 1}]}}, 409, "DUPLICATE_RESOURCE"),
    ("reorderGroups", lambda w: {"value": {}}, 400, "INVALID_JSON"),
    ("reorderGroups", lambda w: {"value": {"items": []}}, 400, "VALIDATION_FAILED"),
    ("reorderGroups", lambda w: {"value": {"items": [{"id": NOBODY, "sort": 1}]}}, 400,
     "VALIDATION_FAILED"),
    ("getGroup", lost, 404, "NOT_FOUND"), ("getGroup", no_number, 400, "BAD_REQUEST"),
    ("updateGroup", valued(lost), 404, "NOT_FOUND"),
    ("updateGroup", lambda w: {**of_group(w), "value": {"name": "A b"}}, 400, "VALIDATION_FAILED"),
    ("updateGroup", lambda w: {**of_group(w), "value": {"upstreams": None}}, 400, None),
    ("updateGroup", lambda w: {**of_group(w), "value": {"config": {"max_retries": -1}}}, 400,
     "VALIDATION_FAILED"),
    ("updateGroup", lambda w: {**of_group(w), "value": {"name": w.aggregate.name}}, 409,
     "DUPLICATE_RESOURCE"),
    ("deleteGroup", lost, 404, "NOT_FOUND"), ("deleteGroup", no_number, 400, "BAD_REQUEST"),
    ("getGroupStats", lost, 404, "NOT_FOUND"), ("getGroupStats", no_number, 400, "BAD_REQUEST"),
    ("copyGroup", valued(lost), 404, "NOT_FOUND"),
    ("copyGroup", lambda w: {**of_group(w), "value": {"copy_keys": "some"}}, 400,
     "VALIDATION_FAILED"),
    ("copyGroup", lambda w: {**of_group(w), "value": {"copy_keys": 1}}, 400, "INVALID_JSON"),
    ("revealGroupKeys", lost, 404, "NOT_FOUND"),
    ("listMembers", lost, 404, "NOT_FOUND"),
    ("listMembers", of_group, 400, "BAD_REQUEST"),
    ("addMembers", lambda w: {"path": {"id": w.aggregate.id}, "value": {"sub_groups": []}}, 400,
     "VALIDATION_FAILED"),
    ("addMembers", lambda w: {"path": {"id": w.aggregate.id}, "value": {"sub_groups": [{}]}}, 400,
     "INVALID_JSON"),
    ("addMembers", lambda w: {"path": {"id": w.aggregate.id}, "value": {
        "sub_groups": [{"group_id": w.group.id, "weight": 1}]}}, 400, "BAD_REQUEST"),
    ("setMemberWeight", lambda w: {"path": {"id": w.aggregate.id, "subGroupId": NOBODY},
                                   "value": {"weight": 1}}, 404, "NOT_FOUND"),
    ("setMemberWeight", lambda w: {"path": {"id": w.aggregate.id, "subGroupId": w.group.id},
                                   "value": {"weight": 1001}}, 400, "VALIDATION_FAILED"),
    ("removeMember", lambda w: {"path": {"id": w.aggregate.id, "subGroupId": NOBODY}}, 404,
     "NOT_FOUND"),
    ("listParents", no_number, 400, "BAD_REQUEST"),
    ("testUpstream", lambda w: {"value": {}}, 400, "INVALID_JSON"),
    ("testUpstream", lambda w: upstream(w, channel_type="odd"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, url="ftp://a.example"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, url="file:///etc/passwd"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, key="sk"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, key="a b", test_model="m"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, timeout_seconds=31), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, proxy_url="gopher://p"), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, header_rules={}), 400, "INVALID_JSON"),
    ("testUpstream", lambda w: upstream(w, header_rules=[
        {"key": "a b", "value": "", "action": "set"}]), 400, "VALIDATION_FAILED"),
    ("testUpstream", lambda w: upstream(w, key_id=NOBODY, test_model="m"), 404, "NOT_FOUND"),
    ("listKeys", lambda w: {}, 400, "BAD_REQUEST"),
    ("listKeys", lambda w: {"query": "?group_id=0"}, 400, "BAD_REQUEST"),
    ("listKeys", lambda w: {"query": f"?group_id={NOBODY}"}, 404, "NOT_FOUND"),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&status=odd"}, 400, "BAD_REQUEST"),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&idle=0"}, 400, "BAD_REQUEST"),
    ("listKeys", lambda w: {"query": f"?group_id={w.group.id}&key_hash=abc"}, 400, "BAD_REQUEST"),
    ("exportKeys", lambda w: {"query": f"?group_id={NOBODY}"}, 404, "NOT_FOUND"),
    ("exportKeys", lambda w: {"query": f"?group_id={w.group.id}&status=x"}, 400, "BAD_REQUEST"),
    *[(name, lambda w: {"value": {"group_id": w.group.id, "keys_text": " \n"}}, 400,
       "VALIDATION_FAILED") for name in ("addKeys", "deleteKeys", "restoreKeys", "testKeys",
                                         "importKeys", "deleteKeysInBackground")],
    *[(name, lambda w: {"value": {"group_id": NOBODY, "keys_text": "k"}}, 404, "NOT_FOUND")
      for name in ("addKeys", "deleteKeys", "restoreKeys", "testKeys", "findKeys",
                   "importKeys", "previewImport", "deleteKeysInBackground")],
    *[(name, lambda w: {"value": {"group_id": NOBODY}}, 404, "NOT_FOUND")
      for name in ("restoreAllInvalidKeys", "clearAllInvalidKeys", "clearAllKeys",
                   "validateGroup")],
    *[(name, lambda w: {"value": {"group_id": "1", "keys_text": "k"}}, 400, "INVALID_JSON")
      for name in ("addKeys", "deleteKeys", "restoreKeys", "testKeys", "importKeys",
                   "previewImport", "deleteKeysInBackground", "restoreAllInvalidKeys",
                   "clearAllInvalidKeys", "clearAllKeys", "validateGroup", "bulkKeys",
                   "findKeys")],
    ("findKeys", lambda w: text(w, keys_text=" ".join(f"k{n}" for n in range(101))), 400,
     "VALIDATION_FAILED"),
    ("addKeys", lambda w: text(w, keys_text="[\"a\""), 400, "VALIDATION_FAILED"),
    ("importKeys", lambda w: text(w, keys_text="x" * 5000), 400, "VALIDATION_FAILED"),
    ("importKeys", lambda w: form(w.group.id, "keys.csv"), 400, "VALIDATION_FAILED"),
    ("importKeys", lambda w: form("x"), 400, "BAD_REQUEST"),
    ("previewImport", lambda w: {"value": {"group_id": w.aggregate.id, "keys_text": "k"}}, 400,
     "VALIDATION_FAILED"),
    ("validateGroup", lambda w: {"value": {"group_id": w.group.id, "status": "odd"}}, 400,
     "VALIDATION_FAILED"),
    ("bulkKeys", lambda w: bulk(w, "odd"), 400, "VALIDATION_FAILED"),
    ("bulkKeys", lambda w: bulk(w, "disable", reason="x" * 256), 400, "VALIDATION_FAILED"),
    ("bulkKeys", lambda w: bulk(w, "notes"), 400, "INVALID_JSON"),
    ("bulkKeys", lambda w: bulk(w, "enable", ids=[]), 400, "VALIDATION_FAILED"),
    ("bulkKeys", lambda w: bulk(w, "enable", ids=list(range(1, 1002))), 400, "VALIDATION_FAILED"),
    ("bulkKeys", lambda w: bulk(w, "enable", ids=["1"]), 400, "INVALID_JSON"),
    ("bulkKeys", lambda w: bulk(w, "enable", ids=7), 400, "INVALID_JSON"),
    ("bulkKeys", lambda w: bulk(w, "enable", group_id=NOBODY), 404, "NOT_FOUND"),
    ("getKey", lost, 404, "NOT_FOUND"), ("getKey", no_number, 400, "BAD_REQUEST"),
    ("revealKey", lost, 404, "NOT_FOUND"),
    ("setKeyNotes", lambda w: {**lost(w), "value": {"notes": ""}}, 404, "NOT_FOUND"),
    ("setKeyNotes", lambda w: of_key(w, value={"notes": "x" * 256}), 400, "VALIDATION_FAILED"),
    ("setKeyNotes", lambda w: of_key(w, value={}), 400, "INVALID_JSON"),
    ("setKeyStatus", lambda w: of_key(w, value={"status": "invalid"}), 400, "VALIDATION_FAILED"),
    ("setKeyStatus", lambda w: {**lost(w), "value": {"status": "active"}}, 404, "NOT_FOUND"),
    ("listTasks", lambda w: {"query": "?group_id=x"}, 400, "BAD_REQUEST"),
    ("getTaskStatus", lambda w: {"query": "?group_id=-1"}, 400, "BAD_REQUEST"),
    ("getTask", lost, 404, "NOT_FOUND"), ("getTaskReport", lost, 404, "NOT_FOUND"),
    ("cancelTask", lost, 404, "NOT_FOUND"),
    ("getDashboardChart", lambda w: {"query": "?groupId=abc"}, 400, "BAD_REQUEST"),
    ("getDashboardSummary", lambda w: {"query": "?range=2h"}, 400, "BAD_REQUEST"),
    ("getDashboardSummary", lambda w: {"query": "?group_id=0"}, 400, "BAD_REQUEST"),
    ("getDashboardErrors", lambda w: {"query": "?range=2h"}, 400, "BAD_REQUEST"),
    ("listLogs", lambda w: {"query": "?group_id=x"}, 400, "VALIDATION_FAILED"),
    ("listLogs", lambda w: {"query": "?status_code=abc"}, 400, "VALIDATION_FAILED"),
    ("listLogs", lambda w: {"query": "?status_class=6xx"}, 400, "VALIDATION_FAILED"),
    ("listLogs", lambda w: {"query": "?is_success=maybe"}, 400, "VALIDATION_FAILED"),
    ("listLogs", lambda w: {"query": "?start_time=yesterday"}, 400, "VALIDATION_FAILED"),
    ("listLogs", lambda w: {"query": "?request_type=odd"}, 400, "VALIDATION_FAILED"),
    ("exportLogKeys", lambda w: {"query": "?end_time=1"}, 400, "VALIDATION_FAILED"),
    ("getLog", lambda w: {}, 404, "NOT_FOUND"),
    ("updateSettings", lambda w: {"value": {"no_such_setting": 1}}, 400, "VALIDATION_FAILED"),
    ("updateSettings", lambda w: {"value": {"max_retries": "3"}}, 400, "VALIDATION_FAILED"),
    ("updateSettings", lambda w: {"value": {"max_retries": 33}}, 400, "VALIDATION_FAILED"),
    ("updateSettings", lambda w: {"body": b"[]"}, 400, "INVALID_JSON"),
]


def cases(table):
    return [pytest.param((BY_ID[case[0]], *case[1:]), id=f"{case[0]}-{number}")
            for number, case in enumerate(table)]


both = pytest.mark.parametrize("mode", [Web(), Cgi()], ids=["fastcgi", "cgi"])


@both
@pytest.mark.parametrize("case", cases(GOOD))
def test_good_requests(world, mode, case):
    assert ask(mode, world, case).status == 200


@both
@pytest.mark.parametrize("case", cases(BAD))
def test_bad_requests(world, mode, case):
    got = ask(mode, world, case)
    assert got.status == case[2], got.body
    if case[3] is not None:
        assert got.json()["code"] == case[3]


def test_every_operation_is_among_the_good_ones():
    assert {o.id for o in OPERATIONS} - {name for name, _ in GOOD} == {PROXY}


def test_every_operation_with_input_is_among_the_bad_ones():
    refused = {name for name, *_ in BAD}
    for operation in OPERATIONS:
        takes = "requestBody" in operation.data or "{" in operation.path
        assert not takes or operation.id in refused or operation.id == PROXY, operation


def test_the_responders_route(world):
    operation = BY_ID[PROXY]
    for name, query, status in ((world.group.name, "?key=pk-one", 200),
                                (world.group.name, "", 400), ("no-such-group", "?key=x", 404),
                                (world.group.name, "?key=wrong", 401)):
        got = world.gateway.client.request("GET", operation.example_path(group=name) + query)
        assert got.status == status
        operation.check(got)


@both
def test_a_body_that_is_too_large(world, mode):
    case = (BY_ID["addKeys"], lambda w: {"body": b"{\"keys_text\": \"" + b"k" * (17 << 20) + b"\"}"})
    got = ask(mode, world, case)
    assert (got.status, got.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


@both
def test_a_second_task_of_a_group(world, mode):
    world.provider.on(never(), key="sk-slow")
    group = world.fresh(keys=["sk-slow"])
    first = world.api.call("POST", "/api/keys/validate-group", {"group_id": group.id})
    for name, more in (("validateGroup", {}), ("deleteKeysInBackground", {"keys_text": "sk-1"})):
        got = ask(mode, world, (BY_ID[name], lambda w, more=more: {
            "value": {"group_id": group.id, **more}}))
        assert (got.status, got.json()["code"]) == (409, "TASK_IN_PROGRESS")
    world.api.call("POST", f"/api/tasks/{first['id']}/cancel")
