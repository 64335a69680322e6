# SPDX-License-Identifier: MIT
"""The web server's own graceful restart, under load: what is under way is not lost."""

import collections
import signal
import threading

import pytest

from lib.gateway import Gateway
from lib.load import load
from lib.provider import Stream, answer, sse
from lib.wait import until

APACHES = [pytest.param(name, marks=pytest.mark.xdist_group(name))
           for name in ("apache-fcgid", "apache-proxy")]

# Who gives a stream only some seconds to end.
ENDS_STREAMS = ("apache-fcgid",)


CLIENTS = 4


class Clients:
    """Who asks, and how often each was answered."""

    def __init__(self, gateway, group):
        self.gateway = gateway
        self.group = group
        self.answered = collections.Counter()

    def ask(self):
        status = self.gateway.ask(self.group).status
        self.answered[threading.get_ident()] += 1
        return status

    def restart(self):
        """Until all of them are served by what the restart has begun: mod_fcgid has one of its
        own requests wait for ever when it is restarted anew while it is starting a process
        for it (the wait is for a process manager that has gone)."""
        resumed = "resuming normal operations"
        before = self.gateway.log_text().count(resumed)
        self.gateway.web.send_signal(signal.SIGUSR1)
        until(lambda: self.gateway.log_text().count(resumed) > before, "Apache resumes")
        seen = dict(self.answered)
        until(lambda: len(self.answered) == CLIENTS and all(
            n >= seen.get(who, 0) + 10 for who, n in self.answered.items()), "requests go on")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", APACHES)
def test_apachectl_graceful_loses_no_request(provider, name):
    """SIGUSR1 is what `apachectl graceful` sends. Under mod_fcgid it ends the responder's
    processes, which get SIGTERM in the middle of a request, and starts others."""
    with Gateway(server=name, unprivileged=True, MAX_CONCURRENT_REQUESTS=1000) as gateway:
        provider.on(answer(json={"a": 1}), path="/v1/chat/completions")
        group = gateway.api.create_group(provider.origin, keys=["sk-a"])
        stream = provider.on(Stream(), path="/v1/stream")
        stream.send(sse("before"))
        with gateway.open(group, "/v1/stream") as got:
            events = got.events()
            assert next(events)[0] == sse("before")
            clients = Clients(gateway, group)
            with load(clients.ask, CLIENTS) as answers:
                for _ in range(3):
                    clients.restart()
            if name in ENDS_STREAMS:
                stream.wait_gone()
            else:
                stream.send(sse("after"))
                stream.end()
                assert [e for e, _ in events if not e.startswith(b":")] == [sse("after")]
        assert set(answers) == {200}, answers
