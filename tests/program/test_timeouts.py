# SPDX-License-Identifier: MIT
"""Every clock that bounds an exchange."""

import contextlib
import socket
import time

import pytest

from lib.client import Broken
from lib.provider import Stream, answer, drip, never, sse


@contextlib.contextmanager
def timed(at_least, at_most):
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert at_least <= took <= at_most, f"took {took:.2f} s"


@contextlib.contextmanager
def unreachable():
    """The URL of a host that drops every connection attempt: a listening socket
    whose queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"http://127.0.0.1:{address[1]}"


def test_connect_timeout_moves_on_to_another_upstream(gateway, provider, make_group):
    with unreachable() as url:
        group = make_group((url, 1000), (provider.origin, 1), config={"connect_timeout": 1})
        with timed(0.9, 4):
            assert gateway.ask(group).status == 200


def test_connect_timeout_without_another_upstream_is_504(gateway, make_group):
    with unreachable() as url:
        group = make_group(url, config={"connect_timeout": 1, "max_retries": 0})
        with timed(0.9, 4):
            got = gateway.ask(group)
    assert got.status in (502, 504)
    assert got.json()["code"] in ("BAD_GATEWAY", "GATEWAY_TIMEOUT")


def test_response_header_timeout(gateway, provider, make_group):
    group = make_group(keys=2, config={"response_header_timeout": 1})
    provider.on(never())
    with timed(0.9, 4):
        got = gateway.ask(group)
    assert (got.status, got.json()["code"]) == (504, "GATEWAY_TIMEOUT")
    assert len(provider.requests) == 1


def test_response_header_timeout_does_not_bound_the_body(gateway, provider, make_group):
    group = make_group(config={"response_header_timeout": 1})
    provider.on(drip(b"x" * 15, 1, 0.1))
    with timed(1.3, 6):
        assert gateway.ask(group).body == b"x" * 15


def test_request_timeout_bounds_the_whole_exchange_retries_included(gateway, provider,
                                                                    make_group):
    group = make_group(keys=3, config={"request_timeout": 2})
    provider.on(never())
    provider.on(answer(500, json={}), times=1)
    with timed(1.8, 5):
        assert gateway.ask(group).status == 500  # the last answer that there was
    assert len(provider.requests) == 2


def test_request_timeout_cuts_an_answer_that_drips(gateway, provider, make_group):
    group = make_group(config={"request_timeout": 1})
    provider.on(drip(b"x" * 1000, 1, 0.05))
    with timed(0.9, 5), gateway.open(group) as got:
        assert got.status == 200
        with pytest.raises((Broken, ConnectionError)):
            got.body
    (row,) = group.logs(1)
    assert row["is_success"] is False


def test_a_stream_outlives_the_request_timeout(gateway, provider, make_group):
    group = make_group(config={"request_timeout": 1})
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.send(sse("first"))
        events = got.events()
        assert next(events)[0] == sse("first")
        time.sleep(1.5)  # the timeout under test has to pass
        stream.send(sse("last"))
        stream.end()
        assert [e for e, _ in events] == [sse("last")]


def test_a_streams_first_byte_is_bound_by_the_request_timeout(gateway, provider, make_group):
    group = make_group(config={"request_timeout": 1})
    provider.on(never())
    with timed(0.9, 4):
        got = gateway.ask(group, json={"model": "m", "stream": True})
    assert got.status == 504


def test_stream_idle_timeout_ends_a_silent_stream_with_an_error_event(gateway, provider,
                                                                      make_group, settings):
    settings(stream_idle_timeout=1)
    group = make_group()
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.send(sse("first"))
        with timed(0.9, 4):
            events = [e for e, _ in got.events()]
    assert events[0] == sse("first")
    assert b"error" in events[-1]
    stream.wait_gone()
    (row,) = group.logs(1)
    assert row["is_success"] is False


def test_stream_idle_timeout_begins_anew_with_every_byte(gateway, provider, make_group, settings):
    settings(stream_idle_timeout=1)
    stream = provider.on(Stream())
    with gateway.open(make_group()) as got:
        events = got.events()
        for i in range(4):
            stream.send(sse(str(i)))
            assert next(events)[0] == sse(str(i))
            time.sleep(0.6)  # shorter than the timeout under test, longer in sum
        stream.end()
        assert list(events) == []


def test_a_slow_client_is_no_silence_of_the_provider(gateway, provider, make_group, settings):
    settings(stream_idle_timeout=1)
    size = 30 << 20
    provider.on(answer(body=b"x" * size, content_type="text/event-stream"))
    with gateway.open(make_group()) as got:
        time.sleep(2)  # reads nothing for longer than the timeout under test
        assert len(got.body) == size
