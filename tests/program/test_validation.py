# SPDX-License-Identifier: MIT
"""How keys that are out are tried again: how many at once, how long, how often.

A minute is the shortest interval, so each of these waits for one.
"""

import asyncio

import pytest

from lib.api import unique
from lib.provider import answer, never
from lib.wait import until


@pytest.fixture
def ill(make_group, gateway, provider):
    """ill(n, **config): a group of n keys that are all out."""
    def make(n, **config):
        keys = [unique("sk-ill") for _ in range(n)]
        group = make_group(keys=keys, config={"blacklist_threshold": 1, "max_retries": 0,
                                              "key_validation_interval_minutes": 1, **config})
        provider.on(answer(401, json={"error": {"message": "ill"}}))
        for _ in range(n):
            assert gateway.ask(group).status == 401
        until(lambda: group.stats()["key_stats"]["active_keys"] == 0, "all are out")
        provider.forget()
        return group
    return make


class Crowd:
    """An answer that notes how many are waiting for it at once, and holds them until
    `full` of them are there or nobody else comes for a while."""

    def __init__(self, full):
        self.full = full
        self.inside = 0
        self.most = 0

    async def __call__(self, request):
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(10):
            if self.inside >= self.full:
                break
            await asyncio.sleep(0.05)
        self.inside -= 1
        await answer(json={})(request)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_concurrency_bounds_the_probes(ill, provider):
    group = ill(12, key_validation_concurrency=3)
    crowd = provider.on(Crowd(full=4))
    until(lambda: group.stats()["key_stats"]["active_keys"] == 12, "all are back", 120)
    assert crowd.most == 3


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_probe_that_hangs_is_given_up(ill, provider):
    group = ill(1, key_validation_timeout_seconds=1)
    provider.on(never())
    probe = provider.next_request(100)
    until(lambda: probe.gone_at, "the probe is given up", 10)
    assert 0.9 <= probe.gone_at - probe.at <= 4
    assert group.stats()["key_stats"]["invalid_keys"] == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_key_that_is_still_ill_stays_out(ill, provider):
    group = ill(1)
    provider.next_request(100)
    assert group.stats()["key_stats"]["invalid_keys"] == 1
