# SPDX-License-Identifier: MIT
"""Headers in both directions: what passes, what a hop keeps to itself."""

import pytest

from lib.gateway import AUTH_KEY
from lib.provider import Stream, answer, sse


def test_client_headers_go_up(gateway, provider, make_group):
    gateway.ask(make_group(), headers={
        "User-Agent": "OpenAI/Python 1.2.3", "OpenAI-Organization": "org-1",
        "X-Stainless-Lang": "python", "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate", "Accept-Language": "de;q=0.5, en",
        "Content-Type": "application/json; charset=utf-8", "Idempotency-Key": "k",
    })
    sent = provider.last
    assert sent.header("user-agent") == "OpenAI/Python 1.2.3"
    assert sent.header("openai-organization") == "org-1"
    assert sent.header("x-stainless-lang") == "python"
    assert sent.header("accept") == "application/json"
    assert sent.header("accept-encoding") == "gzip, deflate"
    assert sent.header("accept-language") == "de;q=0.5, en"
    assert sent.header_all("content-type") == ["application/json; charset=utf-8"]
    assert sent.header("idempotency-key") == "k"
    assert sent.header("host") == provider.address


def test_nothing_is_added_that_the_client_did_not_send(gateway, provider, make_group):
    gateway.client.request("GET", make_group().path("/v1/x"), {"X-Api-Key": AUTH_KEY})
    names = {name for name, _ in provider.last.headers}
    assert names <= {"host", "authorization", "accept", "accept-encoding"}
    assert provider.last.header("accept-encoding") in (None, "identity")


def test_hop_by_hop_request_headers_stay_here(gateway, provider, make_group):
    gateway.ask(make_group(), headers={
        "Connection": "close, X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5",
        "TE": "trailers", "Trailer": "X-T", "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.9",
        "Via": "1.1 somebody", "X-Real-IP": "203.0.113.9", "X-Stays": "1"})
    names = {name for name, _ in provider.last.headers}
    assert "x-stays" in names
    gone = {"connection", "x-hop", "keep-alive", "te", "trailer", "transfer-encoding",
            "upgrade", "proxy-connection"}
    assert not names & gone


def test_hop_by_hop_response_headers_stay_here(gateway, provider, make_group):
    provider.on(answer(json={}, headers=[
        ("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"), ("Upgrade", "h2c"), ("X-Stays", "1")]))
    got = gateway.ask(make_group())
    assert got.header("x-stays") == "1"
    for name in ("x-hop", "keep-alive", "proxy-authenticate", "upgrade"):
        assert got.header(name) is None, name


def test_repeated_response_headers_and_cookies_all_arrive(gateway, provider, make_group):
    provider.on(answer(json={}, headers=[
        ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; HttpOnly"),
        ("X-Twice", "one"), ("X-Twice", "two"), ("openai-processing-ms", "12"),
        ("x-request-id", "req_1"), ("x-ratelimit-remaining-requests", "59")]))
    got = gateway.ask(make_group())
    assert got.header_all("set-cookie") == ["a=1; Path=/", "b=2; HttpOnly"]
    assert got.header_all("x-twice") in (["one", "two"], ["one, two"])
    assert got.header("openai-processing-ms") == "12"
    assert got.header("x-request-id") == "req_1"
    assert got.header("x-ratelimit-remaining-requests") == "59"


@pytest.mark.parametrize("kind", ["application/json", "audio/mpeg", "text/plain; charset=gbk",
                                  "application/x-ndjson", None])
def test_the_content_type_is_the_upstreams_own(gateway, provider, make_group, kind):
    provider.on(answer(body=b"x", content_type=kind))
    assert gateway.ask(make_group()).header("content-type") == kind


def test_a_streams_headers_are_the_upstreams_own(gateway, provider, make_group):
    stream = provider.on(Stream(headers=[("X-Own", "1"), ("Cache-Control", "no-store")]))
    with gateway.open(make_group()) as got:
        assert got.header("content-type") == "text/event-stream"
        assert got.header("x-own") == "1"
        assert got.header_all("cache-control") == ["no-store"]
        stream.send(sse("1"))
        stream.end()
        assert got.body == sse("1")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 301, 304, 400, 404, 409, 413, 415,
                                    418, 422, 451])
def test_the_status_is_the_upstreams(gateway, provider, make_group, status):
    provider.on(answer(status, body=b"" if status in (204, 304) else b"{}"))
    assert gateway.ask(make_group(), "/v1/x", method="GET").status == status


def test_interim_answers_are_not_taken_for_the_answer(gateway, provider, make_group):
    provider.on(answer(json={"a": 1}, interim=(102, 103)))
    got = gateway.ask(make_group())
    assert got.status == 200
    assert got.json() == {"a": 1}
    assert got.header("x-interim") is None


def test_many_and_long_headers_pass(gateway, provider, make_group):
    many = {f"X-Many-{i}": "v" * 200 for i in range(60)}
    provider.on(answer(json={}, headers=list(many.items())))
    got = gateway.ask(make_group(), headers=many)
    assert got.status == 200
    assert [provider.last.header(n) for n in many] == list(many.values())
    assert [got.header(n) for n in many] == list(many.values())


def test_request_headers_beyond_the_limit_are_431(gateway, provider, make_group):
    got = gateway.ask(make_group(), headers={"X-Large": "a" * 100_000})
    assert got.status == 431
    assert provider.requests == []


def test_response_headers_beyond_the_limit_are_502(gateway, provider, make_group):
    provider.on(answer(json={}, headers=[(f"X-{i}", "a" * 4000) for i in range(40)]))
    got = gateway.ask(make_group())
    assert got.status == 502
    assert got.json()["code"] == "BAD_GATEWAY"
