# SPDX-License-Identifier: MIT
"""Bad input of every kind gets a 4xx with a JSON error that says what is wrong; the
sanitizers, looked at when the stack ends, stay silent under all of it."""

import json
import random
import socket
import time

import pytest

from lib.fcgi import Fcgi, cgi_variables, record
from lib.provider import Stream, sse

JSON_ROUTES = [
    ("POST", "/api/groups"), ("PUT", "/api/settings"), ("POST", "/api/keys/add-multiple"),
    ("POST", "/api/keys/clear-all"), ("POST", "/api/auth/login"),
]
NO_JSON = [
    b"", b"{", b"}", b"nul", b"\x00", b"{'a':1}", b'{"a":1,}', b'{"a":1} trailing', b"\xff\xfe",
    b'{"a":"\xff"}', b'{"a":"\\ud800"}', b"[" * 100_000, b'{"a":' * 50_000, b'"text"', b"[]",
    b"5", b"null", b'{"a":1e999}', b'{"name":"\n"}', b'{"a":"' + b"x" * 200_000 + b'"',
]


@pytest.mark.parametrize("method, path", JSON_ROUTES)
def test_a_body_that_is_no_json_object(gateway, method, path):
    for body in NO_JSON:
        got = gateway.api.raw(method, path, body=body,
                              headers={"Content-Type": "application/json"})
        assert 400 <= got.status < 500, (body[:40], got.status)
        assert got.json()["message"], body[:40]


def test_a_management_body_that_is_too_large(gateway):
    got = gateway.api.raw("POST", "/api/keys/add-multiple", body=b"x" * (17 << 20))
    assert got.status == 413
    assert got.json()["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("path", [
    "/api/groups/%zz", "/api/groups/../settings", "/api/groups/1%00",
    "/api/groups/-1", "/api/groups/99999999999999999999999", "/api/groups/0x1",
    "/api/groups/1/stats/more", "/api/keys?group_id=%", "/api/keys?group_id=1&page=%zz",
    "/api/logs?status_code=99999999999999999999", "/api/logs?start_time=2020-13-45T99:99:99Z",
])
def test_bad_targets_of_the_management_api(api, path):
    got = api.raw("GET", path)
    assert 400 <= got.status < 500
    if "json" in got.header("content-type"):  # else the web server refused it
        assert got.json()["code"]


def random_json(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 6)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, -1, 1 << 63, 1 << 200, 1.5, 1e300])
    if kind < 6:
        return rng.choice(["", "a", "\u0000", "😀" * 50, "x" * 3000, "../..", "http://x",
                           "${API_KEY}"])
    if kind == 6:
        return [random_json(rng, depth + 1) for _ in range(rng.randrange(5))]
    return {rng.choice(["a", "name", "url", "weight", "key", "action", ""]):
            random_json(rng, depth + 1) for _ in range(rng.randrange(5))}


def test_random_values_in_every_field_of_a_group(api):
    rng = random.Random(2)
    fields = ["name", "channel_type", "group_type", "upstreams", "test_model", "config",
              "validation_endpoint", "param_overrides", "header_rules", "proxy_keys",
              "model_redirect_rules", "model_redirect_strict", "sort", "display_name"]
    good = {"name": "fuzz", "channel_type": "openai", "test_model": "m",
            "upstreams": [{"url": "http://127.0.0.1:9", "weight": 1}]}
    for _ in range(400):
        value = {**good, rng.choice(fields): random_json(rng)}
        got = api.raw("POST", "/api/groups", value)
        assert got.status in (200, 400), (value, got.text)
        if got.status == 200:
            api.call("DELETE", f"/api/groups/{got.json()['data']['id']}")


def test_random_bodies_through_redirect_and_override(gateway, provider, make_group):
    """What is no JSON object arrives untouched; what is one stays one."""
    rng = random.Random(3)
    group = make_group(model_redirect_rules={"a": "b"}, param_overrides={"name": 1})
    seed = json.dumps({"model": "a", "name": [1, {"x": "\\"}], "y": "é\u2028"}).encode()
    for _ in range(300):
        body = bytearray(seed)
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(body))
            body[at:at + rng.randrange(3)] = bytes([rng.randrange(256)])
        body = bytes(body)
        assert gateway.ask(group, body=body).status == 200
        try:
            was = json.loads(body)
        except ValueError:
            continue
        if isinstance(was, dict):
            sent = json.loads(provider.last.body)
            assert sent["name"] == 1
            assert sent.get("model") == ("b" if was.get("model") == "a" else was.get("model"))


@pytest.mark.parametrize("raw", [
    b"GET\r\n\r\n", b"GET /proxy/g/x HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /proxy/g/x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /proxy/g/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    b"\r\n\r\nzz\r\n", b"GET /proxy/g/x HTTP/9.9\r\nHost: x\r\n\r\n", b"\x00" * 5000,
])
def test_garbage_on_the_port_is_refused_and_the_stack_goes_on(gateway, raw):
    sock = gateway.client.connect()
    sock.sendall(raw)
    sock.shutdown(socket.SHUT_WR)
    got = sock.recv(65536)
    sock.close()
    assert not got.startswith(b"HTTP/1.1 200")
    assert gateway.health().status == 200


def test_garbage_on_the_responders_own_socket(gateway, provider, make_group):
    rng = random.Random(4)
    group = make_group()
    begin = record(1, b"\x00\x01\x00\x00\x00\x00\x00\x00")
    cases = [b"", b"\x01", b"\x00" * 8, b"GET / HTTP/1.1\r\n\r\n", begin[:5], begin,
             record(1, b"\x00\x02\x00\x00\x00\x00\x00\x00"),     # role authorizer
             record(1, b"\x00\x63\x00\x00\x00\x00\x00\x00"),     # unknown role
             begin + record(4, b"\xff\xff\xff\xff"),               # a pair of 2 GB
             begin + record(4, b"\x80\x00\x00\x04\x03NAMEval") + record(4) + record(5),
             begin + record(4) + record(5), begin + begin,
             record(9, b"\x0e\x00FCGI_MAX_CONNS", 0), record(200, b"x" * 100)]
    cases += [bytes(rng.randrange(256) for _ in range(rng.randrange(200))) for _ in range(100)]
    for raw in cases:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(gateway.socket))
        sock.sendall(raw)
        sock.close()
    for _ in range(10):
        assert gateway.ask(group).status == 200


def test_half_a_request_never_holds_up_the_loop(gateway, provider, make_group):
    group = make_group()
    halves = []
    for i in range(120):  # more than there are reader threads, many times
        half = Fcgi(gateway.socket)
        half.begin()
        if i % 2:
            half.params(cgi_variables("POST", group.path("/v1/x"), gateway.headers(), b"12345"))
        halves.append(half)
    for _ in range(10):
        assert gateway.ask(group).status == 200
    whole = halves[-1]
    whole.stdin(b"12345")
    assert whole.response().status == 200
    for half in halves:
        half.close()


def test_half_a_request_does_not_hold_up_the_end(start_gateway):
    """A reader thread that waits for the rest is woken, and the worker ends in order."""
    gateway = start_gateway(SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=1, workers=1)
    half = Fcgi(gateway.socket)
    half.begin()
    assert gateway.health().status == 200
    begun = time.monotonic()
    gateway.stop_master()
    assert time.monotonic() - begun < 5
    half.close()


def test_an_abort_record_ends_the_exchange(gateway, provider, make_group):
    stream = provider.on(Stream())
    one = Fcgi(gateway.socket)
    one.begin()
    one.params(cgi_variables("POST", make_group().path("/v1/x"), gateway.headers(), b"{}"))
    one.stdin(b"{}")
    stream.send(sse("1"))
    stream.wait_opened()
    one.abort()
    stream.wait_gone(5)
    one.close()


@pytest.mark.parametrize("extra", [
    {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "3"},
    {"CONTENT_LENGTH": "999999999999999999999"}, {"CONTENT_LENGTH": "abc"}])
def test_content_length_is_never_trusted(gateway, provider, make_group, extra):
    got = gateway.fcgi("POST", make_group().path("/v1/x"), body=b'{"whole":"body"}', **extra)
    assert got.status == 200
    assert provider.last.body == b'{"whole":"body"}'


@pytest.mark.parametrize("extra", [{"REQUEST_URI": ""}, {"REQUEST_URI": "proxy/g/x"},
                                   {"REQUEST_METHOD": ""}, {"REQUEST_METHOD": "GE T"},
                                   {"REQUEST_METHOD": "X" * 500}])
def test_variables_that_make_no_request(gateway, provider, extra):
    got = gateway.fcgi("GET", "/proxy/g/x", **extra)
    assert 400 <= got.status < 500 or got.status == 501
    assert provider.requests == []


def test_too_many_parameters_are_431(gateway, make_group):
    many = {f"HTTP_X_{i}": "v" for i in range(2000)}
    got = gateway.fcgi("GET", make_group().path("/v1/x"), **many)
    assert got.status == 431
    large = gateway.fcgi("GET", make_group().path("/v1/x"), HTTP_X="v" * 300_000)
    assert large.status == 431
