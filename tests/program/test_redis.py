# SPDX-License-Identifier: MIT
"""The key pool in Redis, on the real stack: a server of the test's own, on a Unix socket;
it forgets, it dies, it comes back."""

import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from lib.api import unique
from lib.wait import until

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="there is no redis-server")


class Redis:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gpt-load-redis-"))
        self.socket = self.folder / "socket"
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [SERVER, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder),
             "--save", "", "--appendonly", "no"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self.say("PING") == b"+PONG\r\n", "Redis answers")

    def say(self, command):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.settimeout(5)
                sock.connect(str(self.socket))
                sock.sendall(command.encode() + b"\r\n")
                return sock.recv(4096)
            except OSError:
                return None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.socket.unlink()

    def stop(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)


@pytest.fixture
def redis():
    one = Redis()
    yield one
    one.stop()


@pytest.fixture
def on_redis(redis, start_gateway, provider):
    """A gateway whose pool is in `redis`, and a group of three keys on it."""
    one = start_gateway(REDIS_DSN=f"unix://{redis.socket}?db=2", WORKERS="2")
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


def test_a_server_that_forgot_everything_is_filled_from_the_database(on_redis, redis):
    gateway, group = on_redis
    assert gateway.ask(group).status == 200
    assert redis.say("FLUSHALL") == b"+OK\r\n"
    until(lambda: gateway.ask(group).status == 200, "the pool is filled again")
    assert gateway.api.raw("GET", "/health").status == 200


def test_a_server_that_died_is_missed_at_once_and_found_again(on_redis, redis):
    gateway, group = on_redis
    assert gateway.ask(group).status == 200
    redis.kill()
    assert gateway.ask(group).status == 503
    redis.start()
    until(lambda: gateway.ask(group).status == 200, "the pool is back, and filled again")


def test_check_config_warns_of_what_redis_would_lose(on_redis, redis):
    gateway, _ = on_redis
    redis.say("CONFIG SET maxmemory-policy allkeys-lru")
    redis.say("CONFIG SET maxmemory 100mb")
    done = gateway.command("check-config")
    assert done.returncode == 0
    assert "Redis: answers" in done.stdout
    assert "evict" in done.stderr and "on disk" in done.stderr
