# SPDX-License-Identifier: MIT
"""Header rules of a group, and their variables."""

import time

import pytest

from lib.vendors import CHANNELS


def rule(key, value=None, action="set"):
    return {"key": key, "value": value or "", "action": action}


def test_set_adds_and_replaces_and_remove_removes(gateway, provider, make_group):
    group = make_group(header_rules=[
        rule("x-new", "a value, with: signs"), rule("user-agent", "replaced"),
        rule("x-gone", action="remove"), rule("x-not-there", action="remove")])
    gateway.ask(group, headers={"User-Agent": "client", "X-Gone": "1", "X-Stays": "2"})
    sent = provider.last
    assert sent.header_all("x-new") == ["a value, with: signs"]
    assert sent.header_all("user-agent") == ["replaced"]
    assert sent.header("x-gone") is None
    assert sent.header("x-stays") == "2"


def test_variables(gateway, provider, make_group):
    group = make_group(header_rules=[
        rule("X-Ip", "${CLIENT_IP}"), rule("X-Group", "g=${GROUP_NAME};"),
        rule("X-Key", "${API_KEY}"), rule("X-Ms", "${TIMESTAMP_MS}"),
        rule("X-S", "${TIMESTAMP_S}"), rule("X-Unknown", "${NOT_ONE} ${API_KEY"),
        rule("X-Two", "${GROUP_NAME}${GROUP_NAME}")])
    before = time.time()
    gateway.ask(group)
    sent = provider.last
    assert sent.header("x-ip") == "127.0.0.1"
    assert sent.header("x-group") == f"g={group.name};"
    assert sent.header("x-key") == group.keys[0]
    assert before - 2 <= int(sent.header("x-ms")) / 1000 <= time.time() + 2
    assert before - 2 <= int(sent.header("x-s")) <= time.time() + 2
    assert sent.header("x-unknown") == "${NOT_ONE} ${API_KEY"
    assert sent.header("x-two") == group.name * 2


@pytest.mark.parametrize("channel, name", [("openai", "authorization"),
                                           ("anthropic", "x-api-key"),
                                           ("gemini", "x-goog-api-key")])
def test_a_rule_may_replace_or_remove_the_vendors_credential(gateway, provider, make_group,
                                                             channel, name):
    replaced = make_group(channel=channel, header_rules=[rule(name, "Own ${API_KEY}")])
    gateway.ask(replaced)
    assert provider.last.header_all(name) == [f"Own {replaced.keys[0]}"]
    removed = make_group(channel=channel, header_rules=[rule(name, action="remove")])
    gateway.ask(removed)
    assert provider.last.header(name) is None


@pytest.mark.parametrize("channel", CHANNELS)
def test_where_each_vendor_wants_its_key(gateway, provider, make_group, channel):
    group = make_group(channel=channel)
    gateway.ask(group)
    sent = provider.last
    place = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(channel, "authorization")
    bearer = "Bearer " if place == "authorization" else ""
    credentials = {n: v for n, v in sent.headers
                   if n in ("authorization", "x-api-key", "x-goog-api-key", "api-key")}
    assert credentials == {place: bearer + group.keys[0]}
    assert group.keys[0] not in sent.target


def test_anthropics_version_is_added_only_where_the_client_sent_none(gateway, provider,
                                                                     make_group):
    group = make_group(channel="anthropic")
    gateway.ask(group)
    assert provider.last.header_all("anthropic-version") == ["2023-06-01"]
    gateway.ask(group, headers={"anthropic-version": "2024-10-01",
                                "anthropic-beta": "files-api-2025-04-14"})
    assert provider.last.header_all("anthropic-version") == ["2024-10-01"]
    assert provider.last.header("anthropic-beta") == "files-api-2025-04-14"


def test_a_forged_forwarded_for_is_believed_only_from_a_trusted_proxy(start_gateway, provider):
    rules = [rule("X-Ip", "${CLIENT_IP}")]
    gateway = start_gateway(TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8", workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"], header_rules=rules)
    gateway.ask(group, headers={"X-Forwarded-For": "1.2.3.4, 203.0.113.9, 10.1.2.3"})
    assert provider.last.header("x-ip") == "203.0.113.9"
    gateway.restart(TRUSTED_PROXIES="192.0.2.1")
    gateway.ask(group, headers={"X-Forwarded-For": "1.2.3.4"})
    assert provider.last.header("x-ip") == "127.0.0.1"
