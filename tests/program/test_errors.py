# SPDX-License-Identifier: MIT
"""The gateway's own errors: each vendor's envelope, with our code beside it; CORS."""

import pytest

from lib.provider import Provider, answer
from lib.vendors import CHANNELS

CORS_REQUEST = {"Origin": "https://page.example.org",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, x-custom"}


def check_envelope(channel, got, status, code):
    assert got.status == status
    assert got.header("content-type").startswith("application/json")
    value = got.json()
    assert value["code"] == code
    assert value["message"]
    error = value["error"]
    assert error["message"]
    if channel == "anthropic":
        assert value["type"] == "error"
        assert set(error) == {"type", "message"}
    elif channel == "gemini":
        assert error["code"] == status
        assert error["status"] == error["status"].upper()
    else:
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"] is None


@pytest.mark.parametrize("channel", CHANNELS)
def test_each_vendors_envelope(gateway, make_group, channel):
    group = make_group(channel=channel)
    check_envelope(channel, gateway.ask(group, key="wrong"), 401, "UNAUTHORIZED")
    empty = make_group(channel=channel, keys=0)
    check_envelope(channel, gateway.ask(empty), 503, "NO_KEYS_AVAILABLE")
    with Provider() as dead:
        dead.stop()
        check_envelope(channel, gateway.ask(make_group(dead.origin, channel=channel)), 502,
                       "BAD_GATEWAY")


def test_geminis_openai_path_has_openais_envelope(gateway, make_group):
    got = gateway.ask(make_group(channel="gemini"), "/v1beta/openai/chat/completions",
                      key="wrong")
    check_envelope("openai", got, 401, "UNAUTHORIZED")


@pytest.mark.parametrize("channel, names", [
    ("anthropic", {401: "authentication_error", 503: "api_error"}),
    ("gemini", {401: "UNAUTHENTICATED", 503: "UNAVAILABLE"})])
def test_the_vendors_own_names_of_a_status(gateway, make_group, channel, names):
    key = "type" if channel == "anthropic" else "status"
    denied = gateway.ask(make_group(channel=channel), key="wrong").json()["error"][key]
    away = gateway.ask(make_group(channel=channel, keys=0)).json()["error"][key]
    assert (denied, away) == (names[401], names[503])


def test_a_preflight_is_204_without_a_key(gateway, provider, make_group):
    group = make_group()
    got = gateway.client.request("OPTIONS", group.path("/v1/x"), CORS_REQUEST)
    assert (got.status, got.body) == (204, b"")
    assert got.header("access-control-allow-origin") in ("*", CORS_REQUEST["Origin"])
    assert "POST" in got.header("access-control-allow-methods")
    assert got.header("access-control-allow-headers") == "authorization, x-custom"
    assert "origin" in got.header("vary").lower()
    assert provider.requests == []


def test_an_answer_carries_the_cors_headers_and_not_the_upstreams(gateway, provider, make_group):
    provider.on(answer(json={}, headers=[("Access-Control-Allow-Origin", "https://upstream")]))
    got = gateway.ask(make_group(), headers={"Origin": "https://page.example.org"})
    assert got.header_all("access-control-allow-origin") in (["*"], ["https://page.example.org"])
    refused = gateway.ask(make_group(), key="wrong",
                          headers={"Origin": "https://page.example.org"})
    assert refused.status == 401
    assert refused.header("access-control-allow-origin") is not None


@pytest.mark.parametrize("enabled", ["false", "true"])
def test_enable_cors(start_gateway, provider, enabled):
    gateway = start_gateway(ENABLE_CORS=enabled, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    got = gateway.ask(group, headers={"Origin": "https://page.example.org"})
    assert (got.header("access-control-allow-origin") is not None) == (enabled == "true")


def test_allowed_origins_methods_headers_and_credentials(start_gateway, provider):
    gateway = start_gateway(workers=1, ALLOWED_ORIGINS="https://a.example,https://b.example",
                            ALLOWED_METHODS="GET,POST", ALLOWED_HEADERS="Authorization,X-One",
                            ALLOW_CREDENTIALS="true")
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])

    def preflight(origin):
        return gateway.client.request("OPTIONS", group.path("/v1/x"),
                                      {**CORS_REQUEST, "Origin": origin})
    allowed, foreign = preflight("https://b.example"), preflight("https://c.example")
    assert allowed.status == foreign.status == 204
    assert allowed.header("access-control-allow-origin") == "https://b.example"
    assert allowed.header("access-control-allow-credentials") == "true"
    assert allowed.header("access-control-allow-methods").replace(" ", "") == "GET,POST"
    assert allowed.header("access-control-allow-headers").replace(" ", "") \
        == "Authorization,X-One"
    assert foreign.header("access-control-allow-origin") is None
    assert foreign.header("access-control-allow-credentials") is None
