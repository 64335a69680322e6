# SPDX-License-Identifier: MIT
"""A new version is installed over one that serves, under load: nothing is lost."""

import os
import pathlib
import signal
import subprocess

import pytest

from lib.api import Api
from lib.client import Client
from lib.gateway import AUTH_KEY, children, processes
from lib.install import make
from lib.load import load
from lib.ports import free_port
from lib.provider import Stream, answer, sse
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "an installation stands on its own folder")


# By itself, or (start.sh raises what it was sent) of SIGTERM.
ENDED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


class Served:
    """`serve` of an installation in a folder, in the foreground."""

    def __init__(self, folder):
        self.folder = folder
        self.prefix = folder / "prefix"
        self.install()
        self.port = free_port()
        with open(self.prefix / "etc" / "gpt-load" / "gpt-load.env", "a") as file:
            file.write(f"HOST=127.0.0.1\nPORT={self.port}\nAUTH_KEY={AUTH_KEY}\nWORKERS=2\n"
                       "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=120\n"
                       f"DATA_DIR={folder}/data\nMAX_CONCURRENT_REQUESTS=1000\n")
        self.client = Client("127.0.0.1", self.port)
        self.api = Api(self.client, AUTH_KEY)
        self.process = None

    def install(self):
        make("install", prefix=self.prefix)

    def start(self):
        begun = len(self.log())
        with open(self.folder / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.prefix / "libexec" / "gpt-load" / "serve"], cwd="/", stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": "/",
                     "GPT_LOAD_CONFIG": f"{self.prefix}/etc/gpt-load/gpt-load.env"})

        def ready():
            assert self.process.poll() is None, self.log()
            return f"ready: http://127.0.0.1:{self.port}" in self.log()[begun:]
        until(ready, "it is ready", 60)
        return self

    def log(self):
        file = self.folder / "serve.log"
        return file.read_text() if file.exists() else ""

    def master(self):
        return next(pid for pid, (_, line) in processes().items()
                    if line.startswith(str(self.prefix)) and "--listen" in line)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(45) in ENDED, self.log()
        assert "Sanitizer" not in self.log()


def programs(pids):
    """The files that these processes run, by number."""
    found = set()
    for pid in pids:
        try:
            found.add(os.stat(f"/proc/{pid}/exe").st_ino)
        except OSError:
            pass  # it has ended
    return found


@pytest.fixture
def served(reachable):
    one = Served(reachable).start()
    yield one
    one.stop()


@pytest.mark.timeout(300)
def test_an_installation_over_a_running_one(served, provider):
    """As docs/install.md says: install, then SIGHUP. A stream goes on meanwhile."""
    provider.on(answer(json={"a": 1}), path="/v1/chat/completions")
    group = served.api.create_group(provider.origin, keys=["sk-a"])
    headers = {"Authorization": f"Bearer {AUTH_KEY}"}
    master = served.master()
    stream = provider.on(Stream(), path="/v1/stream")
    stream.send(sse("before"))
    with served.client.open("POST", group.path("/v1/stream"), headers, json={}) as got:
        events = got.events()
        assert next(events)[0] == sse("before")
        with load(lambda: served.client.request(
                "POST", group.path("/v1/chat/completions"), headers, json={}).status) as answers:
            for _ in range(2):
                before = set(children(master))
                old = programs(before)
                served.install()
                os.kill(master, signal.SIGHUP)
                until(lambda: len(set(children(master)) - before) >= 2, "new workers")
                fresh = programs(set(children(master)) - before)
                assert fresh and fresh.isdisjoint(old)
                count = len(answers)
                until(lambda: len(answers) > count + 20, "requests go on")
        stream.send(sse("after"))
        stream.end()
        assert [event for event, _ in events if not event.startswith(b":")] == [sse("after")]
    assert set(answers) == {200}, answers
    program = served.prefix / "libexec" / "gpt-load" / "gpt-load.fcgi"
    until(lambda: programs(children(master)) == {program.stat().st_ino},
          "the old workers have ended")


@pytest.mark.timeout(300)
def test_a_restart_lets_streams_end(served, provider):
    """SIGTERM to the whole of it: a stream under way has its time."""
    group = served.api.create_group(provider.origin, keys=["sk-a"])
    stream = provider.on(Stream())
    stream.send(sse("before"))
    with served.client.open("POST", group.path("/v1/x"),
                            {"Authorization": f"Bearer {AUTH_KEY}"}, json={}) as got:
        events = got.events()
        assert next(events)[0] == sse("before")
        served.process.send_signal(signal.SIGTERM)
        socket = pathlib.Path(served.folder / "data" / "run" / "responder.sock")
        until(lambda: len(children(served.master())) == 1, "the idle worker has ended")
        stream.send(sse("after"))
        stream.end()
        assert [event for event, _ in events if not event.startswith(b":")] == [sse("after")]
    assert served.process.wait(30) in ENDED
    assert not socket.exists()
    served.start()
    (row,) = group.logs(1)
    assert row["is_success"] is True
