# SPDX-License-Identifier: MIT
"""MAX_CONCURRENT_REQUESTS: a bound over all workers, for /proxy only."""

import contextlib
import os
import signal

from lib.provider import Stream, answer, sse
from lib.wait import until


def test_full_is_503_with_retry_after_and_admin_is_never_held_back(start_gateway, provider):
    gateway = start_gateway(MAX_CONCURRENT_REQUESTS=3, workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    streams = [provider.on(Stream(), path=f"/v1/{i}") for i in range(3)]
    with contextlib.ExitStack() as open_ones:
        answers = [open_ones.enter_context(gateway.open(group, f"/v1/{i}")) for i in range(3)]
        for stream in streams:
            stream.wait_opened()
        refused = gateway.ask(group)
        assert refused.status == 503
        assert refused.json()["code"] == "GATEWAY_BUSY"
        assert int(refused.header("retry-after")) >= 1
        assert gateway.health().status == 200
        assert gateway.api.call("GET", "/api/groups")
        streams[0].send(sse("1"))
        streams[0].end()
        assert answers[0].body == sse("1")
        until(lambda: gateway.ask(group).status == 200, "a place is free again", 5)
        answers[1].reset()
        answers[2].reset()
    until(lambda: sum(gateway.ask(group).status == 200 for _ in range(3)) == 3, "all are", 5)


def test_the_places_of_a_worker_that_died_are_given_back(start_gateway, provider):
    gateway = start_gateway(MAX_CONCURRENT_REQUESTS=2, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    streams = [provider.on(Stream(), path=f"/v1/{i}") for i in range(2)]
    with gateway.open(group, "/v1/0"), gateway.open(group, "/v1/1"):
        for stream in streams:
            stream.wait_opened()
        assert gateway.ask(group).status == 503
        (worker,) = gateway.workers()
        os.kill(worker, signal.SIGKILL)
    provider.on(answer(json={}))
    until(lambda: gateway.ask(group).status == 200, "the new worker has both places", 5)
