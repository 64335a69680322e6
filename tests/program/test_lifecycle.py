# SPDX-License-Identifier: MIT
"""Start, stop, upgrade: of the master, of ./start.sh, and of a plain CGI process."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest

from lib.client import Client
from lib.gateway import AUTH_KEY, MASTER, ROOT, processes
from lib.ports import free_port
from lib.provider import Stream, answer, sse
from lib.start import started
from lib.wait import until


def test_sigterm_drains_streams_to_their_end(start_gateway, provider):
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.send(sse("before"))
        events = got.events()
        assert next(events)[0] == sse("before")
        gateway.master.send_signal(signal.SIGTERM)
        until(lambda: len(gateway.workers()) == 1, "the idle worker has ended")
        stream.send(sse("after"))
        assert next(events)[0] == sse("after")
        stream.end()
        assert list(events) == []
    assert gateway.master.wait(10) == 0
    gateway.start_master()
    (row,) = group.logs(1)
    assert row["is_success"] is True


def test_a_drain_is_bounded(start_gateway, provider):
    gateway = start_gateway(SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=2, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    stream = provider.on(Stream())
    with gateway.open(group) as got:
        stream.send(sse("before"))
        assert got.read() == sse("before")
        begun = time.monotonic()
        gateway.master.send_signal(signal.SIGTERM)
        assert gateway.master.wait(10) == 0
        assert 1.5 <= time.monotonic() - begun <= 6
        stream.wait_gone()
        last = got.read()
        assert b"shutting down" in last, last


def test_sighup_upgrades_in_place(start_gateway, provider):
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    before = set(gateway.workers())
    stream = provider.on(Stream(), times=1)
    with gateway.open(group) as got:
        stream.wait_opened()
        gateway.master.send_signal(signal.SIGHUP)
        until(lambda: len(set(gateway.workers()) - before) == 2, "new workers serve")
        for _ in range(10):
            assert gateway.ask(group).status == 200
        stream.send(sse("x"))
        stream.end()
        assert got.body == sse("x")
    until(lambda: not before & set(gateway.workers()), "the old ones have ended")
    assert gateway.master.poll() is None


def test_configuration_changes_reach_every_worker_with_the_next_request(gateway, provider,
                                                                        make_group):
    group = make_group()
    for i in range(10):
        group.update(param_overrides={"i": i})
        for _ in range(4):
            gateway.ask(group, body=b"{}")
            assert provider.last.body == b'{"i":%d}' % i


def test_a_change_whose_program_died_before_the_pool_is_followed(start_gateway, provider):
    """As if it was killed between commit and pool: the version is in the DB alone."""
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.execute('UPDATE "groups" SET param_overrides = ? WHERE id = ?', '{"a":1}',
                    group.id)
    ((version,),) = gateway.query("SELECT value FROM gptl_meta WHERE name = 'version'")
    gateway.execute("UPDATE gptl_meta SET value = ? WHERE name = 'version'",
                    str(int(version) + 1))

    def seen():
        gateway.ask(group, body=b"{}")
        return provider.last.body == b'{"a":1}'
    until(seen, "the change is obeyed", 10)


def test_one_request_as_plain_cgi(gateway, provider, make_group):
    provider.on(answer(201, json={"a": 1}, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    path = make_group().path("/v1/chat/completions")
    got = gateway.run_responder_as_cgi("POST", path, {"model": "m"})
    assert (got.status, got.json()) == (201, {"a": 1})
    assert [v for n, v in got.headers if n.lower() == "set-cookie"] == ["a=1", "b=2"]
    assert provider.last.body == b'{"model": "m"}'


def test_from_a_terminal_the_responder_prints_its_usage(gateway):
    done = subprocess.run([MASTER], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=gateway.environment, cwd=gateway.folder, timeout=10, check=False)
    assert done.returncode != 0
    assert "--listen" in done.stdout + done.stderr


# --- ./start.sh ---


@pytest.mark.serial
@pytest.mark.only_on("sqlite", "start.sh tells the programs nothing of their databases")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [
    signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.scale)])
def test_start_sh_twice_and_its_end(reachable, end):
    port = free_port()
    with started(reachable, port) as (process, _):
        process.send_signal(end)
        process.wait(30)
    with started(reachable, port, PATH=without_building(reachable)) as (process, seconds):
        assert seconds < 2
        assert not (reachable / "called").exists()
        assert Client("127.0.0.1", port).request("GET", "/health").status == 200
        ours = {p for p, (_, line) in processes().items() if str(reachable) in line
                or re.search(rf"\b{port}\b", line)}
        session = {p for p in processes() if os_session(p) == process.pid}
        process.send_signal(end)
        assert process.wait(30) in (0, 128 + end)
    until(lambda: not (ours | session) & set(processes()), "nothing is left running", 5)
    text = (reachable / "start.log").read_text()
    assert AUTH_KEY not in text


def without_building(folder):
    """A PATH in which nothing that builds or installs does so: it leaves its name."""
    found = folder / "no-building"
    found.mkdir()
    for name in ("make", "cc", "gcc", "npm", "node", "apt-get", "autoreconf", "git"):
        (found / name).write_text(f"#!/bin/sh\necho {name} >>{folder}/called; exit 1\n")
        (found / name).chmod(0o755)
    return f"{found}:{os.environ['PATH']}"


def os_session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


@pytest.mark.serial
@pytest.mark.only_on("sqlite", "start.sh tells the programs nothing of their databases")
@pytest.mark.timeout(600)
def test_start_sh_says_in_one_line_that_the_port_is_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["./start.sh"], cwd=ROOT, text=True, capture_output=True, timeout=500, check=False,
            env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PORT": str(port),
                 "HOST": "127.0.0.1", "DATA_DIR": str(tmp_path / "data")})
    assert done.returncode in (1, 2)
    assert any(str(port) in line for line in done.stderr.splitlines())
