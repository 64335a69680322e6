# SPDX-License-Identifier: MIT
"""Which upstream URL a client's request target becomes."""

import pytest

from lib.provider import answer

RAW_TARGETS = [
    "/v1/x",
    "/",
    "/v1/models/a%2Fb:generateContent",
    "/v1/a%20b+c",
    "/v1//double///slashes",
    "/v1/%E4%BD%A0%e5%a5%bd",
    "/v1/a%252Fb",
    "/v1/;=@,$~'()*!",
    "/v1/x?a=%2F+b%20c&d=%E4&e=x:y/z?w&&f",
    "/v1/x?",
    "/v1/x?stream=false&model=a%26b",
]


@pytest.mark.parametrize("target", RAW_TARGETS)
def test_path_and_query_go_up_as_they_came(gateway, provider, make_group, target):
    group = make_group(f"{provider.origin}/base", channel="anthropic")
    got = gateway.ask(group, target, method="GET")
    assert got.status == 200
    # An empty query says the same with and without its question mark.
    assert provider.last.target.rstrip("?") == f"/base{target}".rstrip("?")


@pytest.mark.parametrize("base, path, wanted", [
    ("", "/chat/completions", "/v1/chat/completions"),
    ("", "/v1/chat/completions", "/v1/chat/completions"),
    ("", "/embeddings", "/v1/embeddings"),
    ("", "/models", "/v1/models"),
    ("", "/files/file-abc/content", "/v1/files/file-abc/content"),
    ("", "/something/else", "/something/else"),
    ("/v1", "/v1/chat/completions", "/v1/chat/completions"),
    ("/v1", "/chat/completions", "/v1/chat/completions"),
    ("/v1/", "/v1/embeddings", "/v1/embeddings"),
    ("/api/paas/v4", "/chat/completions", "/api/paas/v4/chat/completions"),
    ("/openai/deployments/d", "/chat/completions", "/openai/deployments/d/chat/completions"),
])
def test_openai_base_urls_with_and_without_v1(gateway, provider, make_group, base, path, wanted):
    group = make_group(provider.origin + base)
    gateway.ask(group, path, method="GET")
    assert provider.last.target == wanted


def test_the_base_urls_own_query_is_kept(gateway, provider, make_group):
    group = make_group(f"{provider.origin}/openai/deployments/d?api-version=2024-06-01")
    gateway.ask(group, "/chat/completions?a=b", method="GET")
    path, _, query = provider.last.target.partition("?")
    assert path == "/openai/deployments/d/chat/completions"
    assert sorted(query.split("&")) == ["a=b", "api-version=2024-06-01"]


def test_user_and_password_of_the_base_url_become_basic_authorization(gateway, provider,
                                                                      make_group):
    group = make_group(provider.origin.replace("//", "//us%40er:pa%3Ass@"), channel="anthropic")
    gateway.ask(group)
    assert provider.last.header("authorization") == "Basic dXNAZXI6cGE6c3M="
    assert provider.last.header("x-api-key") == group.keys[0]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods_pass_with_their_body(gateway, provider, make_group, method):
    group = make_group()
    body = None if method == "GET" else b'{"a":1}'
    assert gateway.ask(group, "/v1/x", method=method, body=body).status == 200
    assert provider.last.method == method
    assert provider.last.body == (body or b"")


def test_head_has_no_body_and_does_not_wait_for_one(gateway, provider, make_group):
    got = gateway.ask(make_group(), "/v1/models/m", method="HEAD")
    assert (got.status, got.body) == (200, b"")
    assert provider.last.method == "HEAD"


def test_options_without_cors_headers_reaches_the_provider(gateway, provider, make_group):
    got = gateway.ask(make_group(), "/v1/x", method="OPTIONS")
    assert got.status == 200
    assert provider.last.method == "OPTIONS"


@pytest.mark.parametrize("path, status", [
    ("/v1/../secret", 400),
    ("/v1/%2e%2e/secret", 400),
    ("/v1/%2E/x", 400),
    ("/v1/./x", 400),
    ("/v1/%zz", 400),
    ("/v1/%4", 400),
    ("/v1/%00", 400),
])
def test_paths_that_are_refused(gateway, provider, make_group, path, status):
    got = gateway.ask(make_group(), path, method="GET")
    assert got.status == status
    assert provider.requests == []


def test_a_target_that_is_too_long_is_refused(gateway, provider, make_group):
    got = gateway.ask(make_group(), "/v1/" + "a" * 20000, method="GET")
    assert got.status == 414
    assert provider.requests == []


@pytest.mark.parametrize("path", ["/proxy/no-such-group/v1/x", "/proxy/no-such-group",
                                  "/proxy/", "/proxy"])
def test_an_unknown_group_is_404_with_a_code(gateway, path):
    got = gateway.client.request("GET", path, gateway.headers())
    assert got.status == 404
    assert got.json()["code"] == "NOT_FOUND"


def test_a_path_that_only_begins_like_proxy_is_not_the_proxys(gateway, provider, make_group):
    group = make_group()
    gateway.client.request("GET", f"/proxyx/{group.name}/v1/x", gateway.headers())
    gateway.client.request("GET", f"/%70roxy/{group.name}/v1/x", gateway.headers())
    gateway.client.request("GET", f"//proxy/{group.name}/v1/x", gateway.headers())
    assert provider.requests == []


def test_an_absolute_form_target_is_routed_by_its_path(gateway, provider, make_group):
    group = make_group()
    target = f"http://127.0.0.1:{gateway.port}{group.path('/v1/x')}?a=b"
    assert gateway.client.request("GET", target, gateway.headers()).status == 200
    assert provider.last.target == "/v1/x?a=b"


def test_an_upgrade_is_refused_with_a_reason(gateway, provider, make_group):
    got = gateway.ask(make_group(), "/v1/realtime", method="GET", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert got.status == 501
    assert got.json()["code"] == "UPGRADE_NOT_SUPPORTED"
    assert provider.requests == []


def test_redirects_are_passed_on_and_not_followed(gateway, provider, make_group):
    provider.on(answer(307, headers={"Location": "http://127.0.0.1:1/elsewhere"}))
    got = gateway.ask(make_group())
    assert got.status == 307
    assert got.header("location") == "http://127.0.0.1:1/elsewhere"
    assert len(provider.requests) == 1


def test_two_groups_of_one_gateway_have_their_own_upstreams(gateway, provider, second_provider,
                                                            make_group):
    one, two = make_group(), make_group(second_provider.origin)
    gateway.ask(one)
    gateway.ask(two)
    gateway.ask(two)
    assert (len(provider.requests), len(second_provider.requests)) == (1, 2)
    assert set(second_provider.keys) == set(two.keys)
