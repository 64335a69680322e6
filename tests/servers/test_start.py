# SPDX-License-Identifier: MIT
"""./start.sh with each WEB_SERVER: it serves, as a user who is not root, it ends, and
nothing is left of it, however it ends."""

import os
import pathlib
import signal

import pytest

from lib.client import Client
from lib.gateway import AUTH_KEY, processes
from lib.ports import free_port
from lib.servers import SERVERS
from lib.start import started
from lib.wait import until

SECRET = 'with "quotes" and \\back\\slashes ${HOME}'


def of_ours(folder):
    """Processes whose environment or arguments name the folder."""
    found = {}
    for pid, (_, line) in processes().items():
        try:
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in environment or str(folder) in line:
            found[pid] = line
    return found


@pytest.mark.serial
@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("name", SERVERS)
def test_start_sh_and_its_end(reachable, name, end):
    port = free_port()
    with started(reachable, port, WEB_SERVER=name, ENCRYPTION_KEY=SECRET) as (process, _):
        client = Client("127.0.0.1", port)
        headers = {"Authorization": f"Bearer {AUTH_KEY}"}
        assert client.request("GET", "/api/groups", headers).status == 200
        got = client.request("POST", "/proxy/none/v1/x?key=canary-in-a-query", headers)
        assert (got.status, got.json()["code"]) == (401, "UNAUTHORIZED")
        got = client.request("POST", "/proxy/none/v1/x", headers)
        assert (got.status, got.json()["code"]) == (404, "NOT_FOUND")
        ours = of_ours(reachable)
        del ours[process.pid]
        assert any(SERVERS[name].binary.rpartition("/")[2] in line for line in ours.values())
        if os.geteuid() == 0:
            servers = [pid for pid, line in ours.items() if "start.sh" not in line
                       and not line.startswith(("sleep", "/bin/sh"))]
            uids = {pathlib.Path(f"/proc/{pid}").stat().st_uid for pid in servers
                    if pathlib.Path(f"/proc/{pid}").exists()}
            assert 0 not in uids, ours
        process.send_signal(end)
        code = process.wait(30)
        assert code in (0, 128 + end) or end == signal.SIGKILL
        until(lambda: not of_ours(reachable), "nothing is left running", 15)
    text = (reachable / "start.log").read_text()
    assert AUTH_KEY not in text and SECRET not in text and "canary-in-a-query" not in text
