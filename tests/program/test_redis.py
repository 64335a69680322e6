# SPDX-License-Identifier: MIT
"""The key pool in Redis, on the real stack: a server of the test's own, on a Unix socket;
it forgets, it dies, it comes back."""

import time

import pytest

from lib.api import unique
from lib.engines import Redis
from lib.relay import SlowRelay
from lib.wait import until


@pytest.fixture
def redis():
    with Redis() as one:
        yield one


@pytest.fixture
def on_redis(redis, start_gateway, provider):
    """A gateway whose pool is in `redis`, and a group of three keys on it."""
    one = start_gateway(REDIS_DSN=redis.dsn(2), WORKERS="2", LOG_LEVEL="debug")
    keys = [unique("sk-key") for _ in range(3)]
    return one, one.api.create_group(provider.origin, channel="openai", keys=keys)


def test_keys_take_turns_and_a_new_configuration_is_obeyed_at_once(on_redis, provider):
    gateway, group = on_redis
    for _ in range(9):
        assert gateway.ask(group).status == 200
    assert sorted(provider.counts().values()) == [3, 3, 3]
    for _ in range(20):
        fresh = gateway.api.create_group(provider.origin, channel="openai", keys=[unique("sk")])
        assert gateway.ask(fresh).status == 200


@pytest.mark.only_on("sqlite", "it brings a Redis of its own")
def test_a_new_configuration_that_comes_slowly_is_waited_for(redis, start_gateway, provider):
    """It was asked for with 300 ms of patience, and a group just made was not there, with
    404 or 503, on a machine that is busy for a moment."""
    with SlowRelay(redis.folder / "slow", redis.socket, 0) as slow:
        one = start_gateway(REDIS_DSN=f"unix://{slow.path}?db=3", WORKERS="2")
        slow.delay = 0.35
        for _ in range(2):
            group = one.api.create_group(provider.origin, channel="openai", keys=[unique("sk")])
            aggregate = one.api.create_aggregate((group, 1))
            assert [one.ask(group).status for _ in range(2)] == [200, 200]
            assert [one.ask(aggregate).status for _ in range(2)] == [200, 200]
        slow.delay = 0


def test_a_configuration_of_another_program_holds_nobody_up(redis, start_gateway, provider):
    """Each request waited two seconds for what it could not read, again and again."""
    one = start_gateway(REDIS_DSN=redis.dsn(0), WORKERS="1")
    keys = [unique("sk") for _ in range(3)]
    group = one.api.create_group(provider.origin, channel="openai", keys=keys)
    assert one.ask(group).status == 200
    assert redis.say("SET gptl:snapshot nonsense") == b"+OK\r\n"
    assert redis.say("INCR gptl:version")[:1] == b":"
    begun = time.monotonic()
    assert [one.ask(group).status for _ in range(6)] == [200] * 6
    assert time.monotonic() - begun < 2
    assert sorted(provider.counts().values()) == [2, 2, 3], "no turn is skipped"
    later = one.api.create_group(provider.origin, channel="openai", keys=[unique("sk")])
    assert one.api.call("PUT", f"/api/groups/{later.id}", {"description": "newer still"})
    until(lambda: one.ask(later).status == 200, "a configuration that can be read is obeyed")


def test_a_server_that_forgot_everything_is_filled_from_the_database(on_redis, redis):
    gateway, group = on_redis
    assert gateway.ask(group).status == 200
    assert redis.say("FLUSHALL") == b"+OK\r\n"
    until(lambda: gateway.ask(group).status == 200, "the pool is filled again")
    assert gateway.api.raw("GET", "/health").status == 200


def test_a_server_that_died_is_not_missed_and_found_again(on_redis, redis, provider):
    gateway, group = on_redis
    version = gateway.query("SELECT value FROM gptl_meta WHERE name = 'version'")[0][0]
    until(lambda: gateway.log_text().count(f"version {version} is in force") == 2,
          "both workers have the configuration")
    redis.kill()
    for _ in range(6):
        assert gateway.ask(group).status == 200
    assert len(provider.counts()) == 3
    redis.start()
    until(lambda: "degraded" not in gateway.api.raw("GET", "/health").json(),
          "the pool is filled again")
    assert gateway.ask(group).status == 200


def test_check_config_warns_of_what_redis_would_lose(on_redis, redis):
    gateway, _ = on_redis
    redis.say("CONFIG SET maxmemory-policy allkeys-lru")
    redis.say("CONFIG SET maxmemory 100mb")
    done = gateway.command("check-config")
    assert done.returncode == 0
    assert "Redis: answers" in done.stdout
    assert "evict" in done.stderr and "on disk" in done.stderr
