# SPDX-License-Identifier: MIT
"""admin-cgi/openapi.json is the one source for routes: the programs have exactly those,
and none of them lets anybody in without the key."""

import itertools
import json
import re

import pytest

from lib import openapi, routes
from lib.gateway import AUTH_KEY
from lib.openapi import DOCUMENT, OPERATIONS

_strangers = itertools.count(1)

# Answered by the responder.
PROXY = "/proxy/{group}/api/integration/info"


def stranger():
    """An address of its own: wrong keys slow down whoever sends them."""
    n = next(_strangers)
    return {"X-Forwarded-For": f"198.51.{n // 250}.{n % 250 + 1}"}


# --- the document ---

def nodes(node):
    yield node
    for inner in node.values() if isinstance(node, dict) else node:
        if isinstance(inner, (dict, list)):
            yield from nodes(inner)


def test_it_is_written_one_way():
    text = openapi.FILE.read_text()
    assert text == json.dumps(DOCUMENT, indent=2, ensure_ascii=False) + "\n"


def test_every_reference_leads_somewhere_and_everything_is_used():
    used = {node["$ref"] for node in nodes(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    for reference in used:
        openapi.resolve({"$ref": reference})
    for kind in ("schemas", "responses", "parameters"):
        have = {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]}
        unused = have - used - {"#/components/responses/MethodNotAllowed"}
        assert not unused


def test_operations_are_whole():
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for operation in OPERATIONS:
        assert set(operation.data["tags"]) <= tags
        assert operation.data["summary"]
        named = {p["name"] for p in map(openapi.resolve, operation.data.get("parameters", []))
                 if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", operation.path)), operation
        assert operation.open or "401" in operation.data["responses"], operation


def answers(node, seen):
    """Every schema below an answer, what it refers to included."""
    if isinstance(node, list):
        for inner in node:
            yield from answers(inner, seen)
    if not isinstance(node, dict) or node.get("$ref") in seen:
        return
    if "$ref" in node:
        seen.add(node["$ref"])
        yield from answers(openapi.resolve(node), seen)
        return
    yield node
    for name, inner in node.items():
        if name != "example":
            yield from answers(inner, seen)


def test_an_answer_has_the_fields_that_are_described_and_no_others():
    """A field that a program names otherwise than the document would pass unseen where an
    object may have any: each says whether it may."""
    seen, checked = set(), 0
    for operation in OPERATIONS:
        for node in answers(operation.data["responses"], seen):
            if isinstance(node.get("properties"), dict) and node.get("type") == "object":
                assert "additionalProperties" in node, (operation, node)
                checked += 1
    assert checked > 30
    point = DOCUMENT["components"]["schemas"]["SummaryPoint"]
    assert set(point["required"]) == set(point["properties"])
    assert "total_tokens" in point["required"]


def test_examples_are_what_the_schemas_say():
    seen = 0
    for node in nodes(DOCUMENT):
        if isinstance(node, dict) and "schema" in node and "example" in node:
            openapi.validate(node["example"], node["schema"])
            seen += 1
    assert seen > len(OPERATIONS)


# --- the programs ---

def test_routes_and_document_are_the_same():
    documented = {(o.method, o.path): o.open for o in OPERATIONS if o.path != PROXY}
    have = routes.routes()
    # Its function asks for the key, unless METRICS_PUBLIC is set.
    have[("GET", "/metrics")] = False
    assert not set(documented) - set(have), "documented, but in no table"
    assert not set(have) - set(documented), "in a table, but not documented"
    for route, is_open in have.items():
        assert documented[route] == is_open, route


def test_every_table_is_in_api_fcgi_and_in_a_program_of_its_own():
    assert routes.api_program() == set(routes.tables())
    assert set(routes.programs()) == set(routes.routes())


@pytest.mark.parametrize("path", sorted(set(DOCUMENT["paths"]) - {PROXY}))
def test_methods_of_the_running_program(gateway, api, path):
    operations = [o for o in OPERATIONS if o.path == path]
    got = api.raw("PATCH", operations[0].example_path())
    assert (got.status, got.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    allowed = set(got.header("allow").split(", ")) - {"OPTIONS", "HEAD"}
    assert allowed == {o.method for o in operations}
    openapi.validate(got.json(), {"$ref": "#/components/schemas/Error"})


def test_error_codes_are_those_of_the_programs(api):
    table = (openapi.FILE.parents[1] / "lib" / "err.h").read_text()
    known = {code: int(status) for status, code in re.findall(r'X\(ERR_\w+, (\d+), "(\w+)"', table)}
    documented = set(DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"])
    assert documented <= set(known)
    for operation in OPERATIONS:
        for status, response in operation.data["responses"].items():
            content = openapi.resolve(response).get("content", {}).get("application/json", {})
            codes = content.get("schema", {}).get("properties", {}).get("code", {}).get("enum", [])
            assert {known[code] for code in codes} <= {int(status) if status.isdigit() else 0}
    assert set(DOCUMENT["components"]["schemas"]["ChannelType"]["enum"]) == \
        set(api.call("GET", "/api/channel-types"))


# --- the key ---

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE")


def intruders():
    yield "no key", "", {}
    yield "an empty key", "?key=", {"Authorization": "Bearer "}
    yield "a wrong Bearer key", "", {"Authorization": "Bearer wrong"}
    yield "another scheme", "", {"Authorization": f"Basic {AUTH_KEY}"}
    yield "a wrong X-Api-Key", "", {"X-Api-Key": AUTH_KEY + "x"}
    yield "a wrong X-Goog-Api-Key", "", {"X-Goog-Api-Key": AUTH_KEY[:-1]}
    yield "a wrong ?key=", "?key=" + AUTH_KEY.upper(), {}
    yield "a wrong key before a good one", "?key=wrong", {"Authorization": f"Bearer {AUTH_KEY}"}


@pytest.mark.parametrize("path", sorted(set(DOCUMENT["paths"]) - {PROXY}))
def test_nobody_comes_in_without_the_key(gateway, path):
    open_methods = {m for o in OPERATIONS if o.path == path and o.open
                    for m in ((o.method, "HEAD") if o.method == "GET" else (o.method,))}
    example = next(o for o in OPERATIONS if o.path == path).example_path()
    for (what, query, headers), method in itertools.product(intruders(), METHODS):
        if method in open_methods:
            continue
        got = gateway.client.request(method, example + query, {**headers, **stranger()})
        if method in ("TRACE", "NONSENSE") and got.status in (400, 405, 501):
            continue  # the web server's own refusal
        assert got.status == 401, f"{method} {example} with {what}: {got.status}"
        if method != "HEAD":
            assert got.json()["code"] == "UNAUTHORIZED"
            assert "data" not in got.json()


@pytest.mark.parametrize("target", ["/api", "/api/", "/api/nothing", "/api/groups/1/nothing",
                                    "/api//groups", "/api/%67roups"])
def test_what_is_no_route_is_closed_too(gateway, target):
    got = gateway.client.request("GET", target, stranger())
    assert (got.status, got.json()["code"]) == (401, "UNAUTHORIZED")


def test_a_preflight_alone_needs_no_key(gateway):
    for operation in OPERATIONS:
        got = gateway.client.request("OPTIONS", operation.example_path(), {
            "Origin": "http://elsewhere.example", "Access-Control-Request-Method": "PUT"})
        assert (got.status, got.body) == (204, b""), operation


def test_an_address_with_ten_wrong_keys_waits_at_every_door(gateway):
    address = stranger()
    for _ in range(10):
        got = gateway.client.request("GET", "/api/groups",
                                     {"Authorization": "Bearer wrong", **address})
        assert got.status == 401
    for operation in OPERATIONS:
        if operation.open:
            continue
        got = gateway.client.request(operation.method, operation.example_path(),
                                     {**gateway.headers(), **address})
        assert got.status == 429, operation
        assert 1 <= int(got.header("retry-after")) <= 60
        operation.check(got)
    got = gateway.client.request("POST", "/api/auth/login", address, json={"auth_key": AUTH_KEY})
    assert got.status == 429
    openapi.BY_ID["login"].check(got)
    assert gateway.client.request("GET", "/health", address).status == 200
