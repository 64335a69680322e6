# SPDX-License-Identifier: MIT
"""Event streams: at once, untouched, and ended when the client leaves."""

import time

import pytest

from lib import vendors
from lib.client import Broken
from lib.provider import Stream, answer, gzip_bytes, hang_up, sse
from lib.wait import until


@pytest.mark.parametrize("channel", vendors.STREAMED)
def test_a_stream_arrives_byte_for_byte(gateway, provider, make_group, channel):
    path, events = vendors.STREAMED[channel]
    stream = provider.on(Stream())
    with gateway.open(make_group(channel=channel), path) as got:
        for event in events:
            stream.send(event)
        stream.end()
        assert got.body == b"".join(events)


@pytest.mark.serial
def test_each_event_arrives_within_20_ms(gateway, provider, make_group):
    stream = provider.on(Stream())
    delays = []
    with gateway.open(make_group()) as got:
        stream.wait_opened()
        events = got.events()
        for i in range(100):
            sent = time.monotonic()
            stream.send(sse(f"event {i}"))
            event, arrived = next(events)
            assert event == sse(f"event {i}")
            delays.append(arrived - sent)
        stream.end()
    # The machine itself may hold one up; the gateway never holds them up.
    assert sorted(delays)[-3] <= 0.020, sorted(delays)[-5:]


def test_headers_are_there_before_the_first_event(gateway, provider, make_group):
    stream = provider.on(Stream())
    with gateway.open(make_group()) as got:
        stream.wait_opened()
        assert got.status == 200
        stream.send(sse("1"))
        stream.end()


def test_bytes_split_anywhere_arrive_in_order(gateway, provider, make_group):
    whole = b"".join(vendors.CHAT_EVENTS)
    stream = provider.on(Stream())
    with gateway.open(make_group()) as got:
        for at in range(0, len(whole), 7):
            stream.send(whole[at:at + 7])
        stream.end()
        assert got.body == whole


def test_what_is_no_event_stream_streams_too(gateway, provider, make_group):
    stream = provider.on(Stream(content_type="application/x-ndjson"))
    stream.send(b'{"a":1}\n')
    with gateway.open(make_group()) as got:
        assert got.read() == b'{"a":1}\n'
        stream.send(b'{"a":2}\n')
        assert got.read() == b'{"a":2}\n'
        stream.end()


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("talking", [True, False], ids=["talking", "silent"])
def test_a_client_that_leaves_ends_the_upstream_within_a_second(gateway, provider, make_group,
                                                                leave, talking):
    group = make_group(keys=2)
    stream = provider.on(Stream())
    got = gateway.open(group)
    stream.send(sse("first"))
    assert next(got.events())[0] == sse("first")
    left = time.monotonic()
    getattr(got, leave)()
    if talking:
        while stream.request.gone_at is None and time.monotonic() - left < 2:
            stream.send(sse("more"))
            time.sleep(0.05)  # a provider that keeps talking
    assert stream.wait_gone(5) - left <= 1.0
    (row,) = group.logs(1)
    assert row["status_code"] == 499
    assert [r["failure_count"] for r in group.key_list()] == [0, 0]


def test_a_silent_stream_gets_comments_between_events_only(gateway, provider, make_group,
                                                           settings):
    settings(stream_heartbeat_seconds=1)
    stream = provider.on(Stream())
    with gateway.open(make_group()) as got:
        stream.wait_opened()
        got.settimeout(1.6)
        with pytest.raises(TimeoutError):
            got.read()  # never before the first event
        stream.send(sse("one"))
        got.settimeout(10)
        events = got.events()
        assert next(events)[0] == sse("one")
        comment, _ = next(events)
        assert comment.startswith(b":") and comment.endswith(b"\n\n")
        stream.send(b"data: half ")
        until(lambda: got.read() == b"data: half ", "the half arrives")
        got.settimeout(1.6)
        with pytest.raises(TimeoutError):
            got.read()  # never within an event
        got.settimeout(10)
        stream.send(b"an event\n\n")
        stream.end()
        assert got.body.startswith(b"an event\n\n")


@pytest.mark.parametrize("case", ["gemini", "encoded", "not events", "switched off"])
def test_streams_that_get_no_comments(gateway, provider, make_group, settings, case):
    settings(stream_heartbeat_seconds=0 if case == "switched off" else 1)
    group = make_group(channel="gemini" if case == "gemini" else "openai")
    first = gzip_bytes(sse("one")) if case == "encoded" else sse("one")
    stream = provider.on(Stream(
        headers=[("Content-Encoding", "gzip")] if case == "encoded" else [],
        content_type="text/plain" if case == "not events" else "text/event-stream"))
    stream.send(first)
    with gateway.open(group) as got:
        assert got.read() == first
        got.settimeout(2.2)
        with pytest.raises(TimeoutError):
            got.read()
        stream.end()


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("channel", ["openai", "anthropic"])
def test_a_stream_cut_by_the_provider_ends_with_an_error_event(gateway, provider, make_group,
                                                               channel, end):
    group = make_group(channel=channel, keys=2)
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.send(vendors.STREAMED[channel][1][0])
        assert got.read()
        getattr(stream, end)()
        try:
            rest = b"".join(iter(got.read, b""))
        except (Broken, ConnectionError) as cut:
            pytest.fail(f"no error event before the end: {cut}")
    assert b"data:" in rest and b"error" in rest and rest.endswith(b"\n\n")
    (row,) = group.logs(1)
    assert row["is_success"] is False
    assert [r["failure_count"] for r in group.key_list()] == [0, 0]


def test_an_event_cut_in_its_middle_is_ended_before_the_error_event(gateway, provider,
                                                                    make_group):
    stream = provider.on(Stream())
    with gateway.open(make_group()) as got:
        stream.send(sse("one") + b'data: {"hal')
        stream.close()
        events = got.body.split(b"\n\n")
    assert events[0] == b"data: one"
    assert events[1].startswith(b'data: {"hal') and b"error" not in events[1]
    assert b"error" in events[2]


@pytest.mark.parametrize("asked", [
    {"json": {"model": "m", "stream": True}},
    {"headers": {"Accept": "text/event-stream"}},
    {"path": "/v1/chat/completions?stream=true"},
])
def test_an_error_before_the_first_byte_of_a_stream_is_retried(gateway, provider, make_group,
                                                               asked):
    group = make_group(keys=2)
    provider.on(answer(body=sse("ok"), content_type="text/event-stream"))
    provider.on(vendors.openai_error(500, "down"), times=1)
    got = gateway.ask(group, **asked)
    assert (got.status, got.body) == (200, sse("ok"))
    assert all(row["is_stream"] for row in group.logs(2))


def test_an_override_of_stream_is_seen(gateway, provider, make_group):
    group = make_group(param_overrides={"stream": True})
    provider.on(answer(body=sse("ok"), content_type="text/event-stream"))
    gateway.ask(group)
    (row,) = group.logs(1)
    assert row["is_stream"] is True


def test_a_client_that_reads_slowly_does_not_hold_its_neighbours_up(gateway, provider,
                                                                    make_group):
    group = make_group()
    big = provider.on(Stream(), path="/v1/slow")
    small = provider.on(Stream(), path="/v1/fast")
    with gateway.open(group, "/v1/slow", json={}) as slow, \
            gateway.open(group, "/v1/fast", json={}) as fast:
        for _ in range(64):
            big.send(b"x" * (1 << 20))
        events = fast.events()
        for i in range(20):
            small.send(sse(str(i)))
            assert next(events)[0] == sse(str(i))
        small.end()
        big.end()
        assert len(slow.body) == 64 << 20


def test_a_client_gone_before_the_answer_ends_the_upstream(gateway, provider, make_group):
    """Once headers are out the server tells; before, a reset tells with lighttpd."""
    group = make_group()
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.wait_opened()
        got.reset()
    stream.wait_gone(5)


def test_an_answer_that_is_no_http_is_502(gateway, provider, make_group):
    provider.on(hang_up(b"SSH-2.0-OpenSSH_9.2\r\n"))
    got = gateway.ask(make_group(keys=2))
    assert got.status == 502
    assert len(provider.requests) == 1
