# SPDX-License-Identifier: MIT
"""A key's life: failures in a row, out at the threshold, rests, and the way back."""

import email.utils
import time

import pytest

from lib import vendors
from lib.api import unique
from lib.provider import answer, credential
from lib.wait import until


def ask(gateway, group, n, status=200):
    for _ in range(n):
        assert gateway.ask(group).status == status


@pytest.mark.parametrize("threshold", [1, 3])
def test_a_bad_key_is_used_exactly_threshold_times_and_no_client_sees_it(gateway, provider,
                                                                         make_group, threshold):
    good, bad = unique("sk-good"), unique("sk-bad")
    group = make_group(keys=[good, bad], config={"blacklist_threshold": threshold})
    provider.on(vendors.openai_bad_key(), key=bad)
    ask(gateway, group, 12)
    assert provider.counts()[bad] == threshold
    group.wait_status(bad, "invalid")
    row = group.key(bad)
    assert row["failure_count"] == threshold
    stats = group.stats()["key_stats"]
    assert (stats["total_keys"], stats["active_keys"], stats["invalid_keys"]) == (2, 1, 1)


def test_threshold_0_never_puts_a_key_out(gateway, provider, make_group):
    good, bad = unique("sk-good"), unique("sk-bad")
    group = make_group(keys=[good, bad], config={"blacklist_threshold": 0})
    provider.on(vendors.openai_bad_key(), key=bad)
    ask(gateway, group, 20)
    assert provider.counts()[bad] >= 8
    assert group.status_of(bad) == "active"


def test_a_success_between_failures_resets_the_count(gateway, provider, make_group):
    key = unique("sk")
    group = make_group(keys=[key], config={"blacklist_threshold": 2, "max_retries": 0})
    for status in (401, 200, 401, 200, 401):
        provider.on(answer(status, json={}))
        ask(gateway, group, 1, status)
    assert group.status_of(key) == "active"
    provider.on(answer(401, json={}))
    ask(gateway, group, 1, 401)
    group.wait_status(key, "invalid")


def test_a_thousand_client_mistakes_leave_the_pool_whole(gateway, provider, make_group):
    group = make_group(keys=3, config={"blacklist_threshold": 1})
    provider.on(vendors.openai_error(400, "you must provide a model parameter"))
    ask(gateway, group, 1000, 400)
    assert group.stats()["key_stats"]["active_keys"] == 3
    assert max(provider.counts().values()) - min(provider.counts().values()) <= 2


def test_a_provider_that_is_down_leaves_every_key_active(gateway, provider, make_group):
    group = make_group(keys=3, config={"blacklist_threshold": 1})
    provider.on(vendors.openai_error(500, "down", "server_error"))
    for _ in range(30):
        assert gateway.ask(group).status in (500, 503)
    assert group.stats()["key_stats"]["active_keys"] == 3
    assert [row["failure_count"] for row in group.key_list()] == [0, 0, 0]


def test_a_gemini_key_that_is_no_key_goes_out(gateway, provider, make_group):
    good, bad = unique("AIza-good"), unique("AIza-bad")
    group = make_group(channel="gemini", keys=[good, bad], config={"blacklist_threshold": 1})
    provider.on(vendors.gemini_bad_key(), key=bad)
    ask(gateway, group, 4)
    assert provider.counts()[bad] == 1
    group.wait_status(bad, "invalid")


def test_without_any_key_it_is_503(gateway, make_group):
    got = gateway.ask(make_group(keys=0))
    assert got.status == 503
    assert got.json()["code"] == "NO_KEYS_AVAILABLE"
    assert int(got.header("retry-after")) >= 1


def test_when_the_last_key_goes_out_the_client_sees_why(gateway, provider, make_group):
    group = make_group(keys=1, config={"blacklist_threshold": 1})
    provider.on(vendors.openai_bad_key())
    got = gateway.ask(group)
    assert (got.status, got.json()["error"]["code"]) == (401, "invalid_api_key")
    assert gateway.ask(group).status == 503


def rate_limited(headers):
    return vendors.openai_rate_limit(headers=headers)


RESETS = {
    "Retry-After": lambda: [("Retry-After", "3")],
    "Retry-After date": lambda: [("Retry-After", email.utils.formatdate(time.time() + 3.5,
                                                                        usegmt=True))],
    "retry-after-ms": lambda: [("retry-after-ms", "2500")],
    "x-ratelimit-reset-requests": lambda: [("x-ratelimit-remaining-requests", "0"),
                                           ("x-ratelimit-reset-requests", "2.5s")],
}


@pytest.mark.parametrize("case", RESETS)
def test_a_429_rests_the_key_for_as_long_as_it_says(gateway, provider, make_group, case):
    good, limited = unique("sk-good"), unique("sk-limited")
    group = make_group(keys=[good, limited])
    provider.on(rate_limited(RESETS[case]()), key=limited, times=1)
    begun = time.time()
    ask(gateway, group, 8)
    assert time.time() - begun < 2, "too slow to see the rest"
    assert provider.counts()[limited] == 1
    assert group.key(limited)["failure_count"] == 0
    assert group.status_of(limited) == "active"
    until(lambda: gateway.ask(group) and provider.counts()[limited] > 1,
          "the key is back", 10, every=0.1)
    assert 1.4 <= provider.requests[-1].at - first_use(provider, limited).at < 6


def first_use(provider, key):
    return next(r for r in provider.requests if credential(r) == key)


def test_without_a_word_of_the_provider_a_rest_begins_at_one_second(gateway, provider,
                                                                    make_group):
    good, limited = unique("sk-good"), unique("sk-limited")
    group = make_group(keys=[good, limited])
    provider.on(rate_limited([]), key=limited)

    until(lambda: gateway.ask(group) and provider.counts()[limited] == 3,
          "the key is tried twice more", 10, every=0.05)
    first, second, third = [r.at for r in provider.requests if credential(r) == limited]
    assert 0.9 <= second - first <= 1.6
    assert 1.8 <= third - second <= 2.8


def test_when_every_key_rests_it_is_429_with_the_earliest_end(gateway, provider, make_group):
    one, two = unique("sk-one"), unique("sk-two")
    group = make_group(keys=[one, two])
    provider.on(rate_limited([("Retry-After", "30")]), key=one)
    provider.on(rate_limited([("Retry-After", "20")]), key=two)
    assert gateway.ask(group).status == 429  # the provider's own
    got = gateway.ask(group)
    assert got.status == 429
    assert got.json()["code"] == "ALL_KEYS_RESTING"
    assert 15 <= int(got.header("retry-after")) <= 20
    assert len(provider.requests) == 2


def test_five_keys_limited_at_once_rest_the_upstream(start_gateway, provider, second_provider):
    gateway = start_gateway(workers=1)
    keys = [f"sk-{i}" for i in range(8)]
    group = gateway.api.create_group((provider.origin, 9), (second_provider.origin, 1),
                                     keys=keys, config={"max_retries": 7})
    provider.on(rate_limited([("Retry-After", "60")]))
    for _ in range(12):
        assert gateway.ask(group).status == 200
    assert len(provider.requests) == 5
    assert len(set(provider.keys)) == 5


def test_restored_keys_are_active_again(gateway, provider, make_group):
    bad = unique("sk-bad")
    group = make_group(keys=[bad], config={"blacklist_threshold": 1, "max_retries": 0})
    provider.on(vendors.openai_bad_key(), times=1)
    assert gateway.ask(group).status == 401
    assert gateway.ask(group).status == 503
    assert group.restore(bad)["restored_count"] == 1
    assert group.key(bad)["failure_count"] == 0
    assert gateway.ask(group).status == 200


def test_added_and_removed_keys_hold_from_the_next_request(gateway, api, provider, make_group):
    one, two = unique("sk-one"), unique("sk-two")
    group = make_group(keys=[one])
    api.add_keys(group, [two])
    ask(gateway, group, 2)
    assert set(provider.keys) == {one, two}
    api.call("POST", "/api/keys/delete-multiple", {"group_id": group.id, "keys_text": one})
    provider.forget()
    ask(gateway, group, 3)
    assert set(provider.keys) == {two}


def test_a_state_written_back_outlives_the_pool(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-good", "sk-bad"],
                                     config={"blacklist_threshold": 1})
    provider.on(vendors.openai_bad_key(), key="sk-bad")
    ask(gateway, group, 3)
    group.wait_status("sk-bad", "invalid")
    until(lambda: gateway.query("SELECT status FROM api_keys WHERE key_value = 'sk-bad'")
          == [("invalid",)], "the state is in the DB", 5)
    gateway.stop_web()
    gateway.stop_master()
    gateway.lose_pool()
    gateway.start()
    provider.forget()
    for _ in range(4):
        assert gateway.ask(group, "/v1/own").status == 200
    # The other one is only validated meanwhile, by a path of its own.
    assert {credential(r) for r in provider.requests if r.path == "/v1/own"} == {"sk-good"}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("channel, path", [
    ("openai", "/v1/chat/completions"), ("openai-response", "/v1/responses"),
    ("anthropic", "/v1/messages"),
    ("gemini", "/v1beta/models/gemini-2.0-flash-lite:generateContent"),
])
def test_validation_brings_a_healed_key_back(gateway, provider, make_group, channel, path):
    key = unique("sk-ill")
    group = make_group(channel=channel, keys=[key], config={
        "blacklist_threshold": 1, "max_retries": 0, "key_validation_interval_minutes": 1},
        header_rules=[{"key": "X-Rule", "value": "${GROUP_NAME} ${CLIENT_IP}",
                       "action": "set"}])
    provider.on(answer(401, json={"error": {"message": "ill"}}))
    assert gateway.ask(group).status == 401
    group.wait_status(key, "invalid")
    provider.on(answer(json={"fine": True}))
    provider.forget()
    group.wait_status(key, "active", deadline=90)
    probe = provider.requests[0]
    assert (probe.method, probe.path) == ("POST", path)
    assert credential(probe) == key
    assert probe.header("x-rule") == f"{group.name} 127.0.0.1"
    assert group.data["test_model"] in probe.target + probe.body.decode()
    assert group.key(key)["failure_count"] == 0
    assert gateway.ask(group).status == 200
