# SPDX-License-Identifier: MIT
"""Thousands of event streams at once: no error, nothing lost, events on time."""

import json
import subprocess

import pytest

from lib.gateway import BUILD
from lib.ports import free_port

PROGRAMS = BUILD / "tests" / "bench"
EVENTS, INTERVAL_MS, PER_SECOND = 6, 2000, 400


def many_streams(gateway, tmp_path, count):
    """The report of tests/bench/streams over so many streams through the gateway."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": "m", "stream": True, "messages": []}))
    port = free_port()
    provider = subprocess.Popen([PROGRAMS / "sse_server", str(port), str(EVENTS),
                                 str(INTERVAL_MS)])
    try:
        group = gateway.api.create_group(f"http://127.0.0.1:{port}",
                                         keys=[f"sk-{i}" for i in range(20)])
        done = subprocess.run(
            [PROGRAMS / "streams", str(gateway.port), group.path("/v1/chat/completions"),
             gateway.api.auth_key, body, str(count), str(PER_SECOND), str(EVENTS)],
            text=True, capture_output=True, timeout=300, check=True)
    finally:
        provider.terminate()
        provider.wait()
    rows = group.stats()["stats_24_hour"]
    assert (rows["total_requests"], rows["failed_requests"]) == (count, 0)
    return json.loads(done.stdout.splitlines()[-1])


def check(report, count, p99_ms):
    assert report["whole"] == count, report
    assert (report["errors"], report["lost"]) == (0, 0), report
    assert report["p99_ms"] <= p99_ms, report


@pytest.mark.serial
@pytest.mark.timeout(300)
def test_2000_streams(start_gateway, tmp_path):
    gateway = start_gateway(MAX_CONCURRENT_REQUESTS=5000)
    # The bound is for a sanitizer build on two busy cores; the bench has the real one.
    check(many_streams(gateway, tmp_path, 2000), 2000, p99_ms=500)


@pytest.mark.scale
@pytest.mark.serial
@pytest.mark.timeout(600)
def test_8000_streams(start_gateway, tmp_path):
    gateway = start_gateway(MAX_CONCURRENT_REQUESTS=10000)
    check(many_streams(gateway, tmp_path, 8000), 8000, p99_ms=1000)


@pytest.mark.scale
@pytest.mark.serial
@pytest.mark.timeout(900)
def test_a_million_keys(start_gateway, provider):
    """Turns stay strict, and a pick takes no longer than with ten."""
    gateway = start_gateway(POOL_SIZE_MB=1024)
    group = gateway.api.create_group(provider.origin)
    for first in range(0, 1_000_000, 5000):
        gateway.api.add_keys(group, [f"sk-{i:032}" for i in range(first, first + 5000)])
    assert group.stats()["key_stats"]["active_keys"] == 1_000_000
    for _ in range(1000):
        assert gateway.ask(group).status == 200
    assert len(set(provider.keys)) == 1000
