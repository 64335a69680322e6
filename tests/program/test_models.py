# SPDX-License-Identifier: MIT
"""Model redirects, strict mode, and model lists, for each vendor."""

import json

import pytest

from lib import vendors
from lib.provider import answer, gzip_bytes

RULES = {"alias-a": "real-a", "alias-b": "real-b"}


def sent_model(provider):
    return json.loads(provider.last.body)["model"]


@pytest.mark.parametrize("channel", ["openai", "openai-response", "anthropic"])
def test_the_model_in_the_body_is_redirected(gateway, provider, make_group, channel):
    group = make_group(channel=channel, model_redirect_rules=RULES)
    path, body = gateway.body_for(group)
    gateway.ask(group, path, json={**body, "model": "alias-a"})
    assert sent_model(provider) == "real-a"
    gateway.ask(group, path, json={**body, "model": "other"})
    assert sent_model(provider) == "other"


@pytest.mark.parametrize("path, wanted", [
    ("/v1beta/models/alias-a:generateContent", "/v1beta/models/real-a:generateContent"),
    ("/v1beta/models/alias-b:streamGenerateContent?alt=sse",
     "/v1beta/models/real-b:streamGenerateContent?alt=sse"),
    ("/v1beta/models/alias-a", "/v1beta/models/real-a"),
    ("/v1beta/models/other:countTokens", "/v1beta/models/other:countTokens"),
    ("/v1beta/files/alias-a", "/v1beta/files/alias-a"),
])
def test_the_model_in_geminis_path_is_redirected(gateway, provider, make_group, path, wanted):
    group = make_group(channel="gemini", model_redirect_rules=RULES)
    gateway.ask(group, path, body=b'{"model":"alias-a"}')
    assert provider.last.target == wanted
    assert provider.last.body == b'{"model":"alias-a"}'


def test_geminis_openai_path_takes_the_model_from_the_body(gateway, provider, make_group):
    group = make_group(channel="gemini", model_redirect_rules=RULES)
    gateway.ask(group, "/v1beta/openai/chat/completions", json={"model": "alias-a"})
    assert sent_model(provider) == "real-a"
    assert provider.last.header("authorization") == f"Bearer {group.keys[0]}"


def test_only_the_top_level_model_counts(gateway, provider, make_group):
    group = make_group(model_redirect_rules=RULES)
    body = b'{"metadata":{"model":"alias-a"},"model":"alias-b","x":"\\"model\\":\\"alias-a\\""}'
    gateway.ask(group, body=body)
    assert provider.last.body == body.replace(b'"alias-b"', b'"real-b"')


def test_an_escaped_model_name_is_still_that_name(gateway, provider, make_group):
    group = make_group(model_redirect_rules=RULES)
    gateway.ask(group, body=b'{"mod\\u0065l":"alias\\u002da"}')
    assert json.loads(provider.last.body) == {"model": "real-a"}


STRICT_REFUSED = [
    b'{"model":"other"}',
    b'{"model":"alias-a","model":"other"}',
    b'{"model":5}',
    b'{"model":"alias-a"',
    b'[]',
    gzip_bytes(b'{"model":"alias-a"}'),
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--b--\r\n',
]


@pytest.mark.parametrize("body", STRICT_REFUSED)
def test_strict_mode_refuses_what_it_does_not_know(gateway, provider, make_group, body):
    group = make_group(model_redirect_rules=RULES, model_redirect_strict=True)
    got = gateway.ask(group, body=body)
    assert got.status == 400
    assert got.json()["code"] in ("BAD_REQUEST", "VALIDATION_FAILED", "INVALID_JSON")
    assert provider.requests == []


def test_strict_mode_lets_its_models_through(gateway, provider, make_group):
    group = make_group(model_redirect_rules=RULES, model_redirect_strict=True)
    assert gateway.ask(group, json={"model": "alias-a"}).status == 200
    for names_none in (b'{"messages":[]}', b""):
        assert gateway.ask(group, body=names_none).status == 200
    gemini = make_group(channel="gemini", model_redirect_rules=RULES, model_redirect_strict=True)
    assert gateway.ask(gemini, "/v1beta/models/alias-a:generateContent").status == 200
    assert gateway.ask(gemini, "/v1beta/models/other:generateContent").status == 400


def test_a_model_list_without_rules_passes_byte_for_byte(gateway, provider, make_group):
    odd = b'{"object" : "list",\n"data":[{"id":"m","created":12345678901234567890}]}\n'
    provider.on(answer(body=odd, content_type="application/json", headers=[("X-Own", "1")]))
    got = gateway.ask(make_group(), "/v1/models", method="GET")
    assert got.body == odd
    assert got.header("x-own") == "1"


def ids(got):
    return [entry["id"] for entry in got.json()["data"]]


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
def test_openais_list_gains_the_sources(gateway, provider, make_group, encoding):
    provider.on(answer(json=vendors.MODELS, encoding=encoding))
    group = make_group(model_redirect_rules={**RULES, "gpt-4o": "gpt-4.1"})
    got = gateway.ask(group, "/v1/models", method="GET", headers={"Accept-Encoding": "gzip"})
    assert got.header("content-encoding") is None
    assert ids(got) == ["gpt-4.1-nano", "gpt-4o", "alias-a", "alias-b"]
    added = got.json()["data"][2]
    assert added["object"] == "model"
    assert got.json()["data"][0] == vendors.MODELS["data"][0]


def test_strict_lists_have_the_sources_only(gateway, provider, make_group):
    strict = {"model_redirect_rules": RULES, "model_redirect_strict": True}
    provider.on(answer(json=vendors.MODELS))
    assert ids(gateway.ask(make_group(**strict), "/v1/models", method="GET")) \
        == ["alias-a", "alias-b"]
    provider.on(answer(json={**vendors.GEMINI_MODELS, "nextPageToken": "t"}))
    got = gateway.ask(make_group(channel="gemini", **strict), "/v1beta/models", method="GET")
    assert [m["name"] for m in got.json()["models"]] == ["models/alias-a", "models/alias-b"]
    assert "nextPageToken" not in got.json()


def test_geminis_list_gains_the_sources_on_its_first_page(gateway, provider, make_group):
    provider.on(answer(json=vendors.GEMINI_MODELS))
    group = make_group(channel="gemini", model_redirect_rules=RULES)
    first = gateway.ask(group, "/v1beta/models", method="GET").json()["models"]
    assert [m["name"] for m in first] == ["models/gemini-2.0-flash-lite", "models/alias-a",
                                          "models/alias-b"]
    assert "generateContent" in first[1]["supportedGenerationMethods"]
    later = gateway.ask(group, "/v1beta/models?pageToken=t", method="GET").json()["models"]
    assert [m["name"] for m in later] == ["models/gemini-2.0-flash-lite"]


def test_anthropics_list_has_anthropics_shape(gateway, provider, make_group):
    provider.on(answer(json=vendors.ANTHROPIC_MODELS))
    group = make_group(channel="anthropic", model_redirect_rules=RULES)
    entries = gateway.ask(group, "/v1/models", method="GET").json()["data"]
    assert [e["id"] for e in entries] == ["claude-3-haiku-20240307", "alias-a", "alias-b"]
    assert all(e["type"] == "model" and "created_at" in e for e in entries)


@pytest.mark.parametrize("status, body", [(404, b'{"error":{"message":"no"}}'),
                                          (200, b"not json"), (200, b"[]"),
                                          (200, b'{"data":"odd"}')])
def test_a_list_that_is_none_passes(gateway, provider, make_group, status, body):
    provider.on(answer(status, body=body, content_type="application/json"))
    got = gateway.ask(make_group(model_redirect_rules=RULES), "/v1/models", method="GET")
    assert (got.status, got.body) == (status, body)


def test_a_zip_bomb_is_not_inflated_without_end(gateway, provider, make_group):
    bomb = gzip_bytes(b'{"data":[' + b" " * (200 << 20) + b"]}")
    provider.on(answer(body=bomb, content_type="application/json",
                       headers=[("Content-Encoding", "gzip")]))
    got = gateway.ask(make_group(model_redirect_rules=RULES), "/v1/models", method="GET",
                      headers={"Accept-Encoding": "gzip"})
    assert got.status in (200, 502)
    assert len(got.body) <= len(bomb)
    assert gateway.ask(make_group(), "/v1/x", method="GET").status == 200


def test_a_post_to_the_list_path_is_not_a_list(gateway, provider, make_group):
    provider.on(answer(json=vendors.MODELS))
    got = gateway.ask(make_group(model_redirect_rules=RULES), "/v1/models", json={})
    assert got.json() == vendors.MODELS
