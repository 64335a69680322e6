# SPDX-License-Identifier: MIT
"""What breaks under the gateway: processes killed, disk, pool and spool full."""

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import threading
import time

import pytest

from lib.client import Broken
from lib.provider import Stream, answer, sse
from lib.wait import until


class Load:
    """Clients that ask without pause until told to stop."""

    def __init__(self, gateway, group, clients=4):
        self.gateway = gateway
        self.group = group
        self.results = []  # (time it ended, status or exception)
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self):
        while not self.stopping.is_set():
            try:
                what = self.gateway.ask(self.group).status
            except (OSError, Broken) as error:
                what = error
            self.results.append((time.monotonic(), what))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        until(lambda: len(self.results) >= 20, "the load runs")
        return self

    def __exit__(self, *exc):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    @property
    def good(self):
        return sum(what == 200 for _, what in self.results)

    @property
    def failed(self):
        return [what for _, what in self.results if what != 200]

    def runs_on(self):
        """Waits for good answers that began after now."""
        have = self.good
        until(lambda: self.good >= have + 20, "good answers go on")


def test_a_killed_worker_takes_only_its_own_requests_along(start_gateway, provider):
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b", "sk-c"])
    with Load(gateway, group) as load:
        before = gateway.workers()
        os.kill(before[0], signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: len(set(gateway.workers()) - {before[0]}) == 2, "a new worker is there", 5,
              every=0.005)
        assert time.monotonic() - killed <= 1.0
        load.runs_on()
    assert len(load.failed) <= 4, load.failed
    # No row of an exchange that had ended is missing.
    until(lambda: len(group.logs(is_success="true")) >= min(load.good, 1000), "every row", 10)
    ((rows,),) = gateway.query("SELECT count(*) FROM request_logs WHERE status_code = 200")
    assert load.good <= rows <= load.good + len(load.failed)


def test_a_worker_killed_again_and_again_leaves_the_pool_sound(start_gateway, provider):
    """Some of the kills hit the middle of a pool write."""
    gateway = start_gateway(workers=2)
    keys = [f"sk-{i}" for i in range(5)]
    group = gateway.api.create_group(provider.origin, keys=keys)
    provider.on(answer(429, json={}, headers=[("Retry-After", "0")]), key="sk-0")
    with Load(gateway, group) as load:
        for _ in range(8):
            workers = gateway.workers()
            os.kill(workers[0], signal.SIGKILL)
            until(lambda gone=workers[0]: len(set(gateway.workers()) - {gone}) == 2,
                  "a new worker is there")
            load.runs_on()
    assert len(load.failed) <= 8 * 4, load.failed
    provider.on(answer(json={}))
    provider.forget()
    for _ in range(50):
        assert gateway.ask(group).status == 200
    counts = provider.counts()
    assert set(counts) >= set(keys[1:])
    assert max(counts.values()) - min(counts[k] for k in keys[1:]) <= 3


def lease_holder(gateway):
    """The process that does the background work, from the lease in the DB."""
    rows = gateway.query("SELECT * FROM gptl_lease")
    workers = gateway.workers()
    holders = {int(part) for row in rows for cell in row
               for part in str(cell).replace("/", ":").split(":")
               if part.isdigit() and int(part) in workers}
    return holders.pop() if holders else None


def test_the_killed_holder_of_the_background_lease_is_succeeded(start_gateway, provider):
    gateway = start_gateway(workers=2)
    gateway.api.set(request_log_write_interval_minutes=0)
    group = gateway.api.create_group(provider.origin, keys=["sk-good", "sk-bad"],
                                     config={"blacklist_threshold": 1})
    holder = until(lambda: lease_holder(gateway), "a worker holds the lease", 30)
    os.kill(holder, signal.SIGKILL)
    until(lambda: lease_holder(gateway) not in (None, holder), "another one holds it", 60)
    provider.on(answer(401, json={}), key="sk-bad")
    for _ in range(3):
        assert gateway.ask(group).status == 200
    until(lambda: gateway.query("SELECT status FROM api_keys WHERE key_value = 'sk-bad'")
          == [("invalid",)], "the new holder writes state back", 10)
    until(lambda: gateway.query("SELECT count(*) FROM request_logs")[0][0] >= 4,
          "and rows are flushed", 10)


def test_the_master_killed_leaves_workers_that_can_be_replaced(start_gateway, provider):
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.master.kill()
    gateway.master.wait()
    gateway.start_master()
    until(lambda: gateway.ask(group).status == 200, "the new master's workers serve", 10)


# --- no room ---


@contextlib.contextmanager
def small_disk(folder, megabytes):
    """A file system of so many MB at `folder`; needs root."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs",
                    folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def filled(folder):
    """Nothing more fits into the file system of `folder`."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


def fill_database(gateway, group):
    """Adds keys until they are refused; how many there are then."""
    for batch in range(1000):
        got = gateway.api.raw("POST", "/api/keys/add-multiple", {
            "group_id": group.id,
            "keys_text": "\n".join(f"sk-{batch}-{i}-{'x' * 500}" for i in range(100))})
        if got.status != 200:
            assert (got.status, got.json()["code"]) == (507, "INSUFFICIENT_STORAGE")
            return len(group.keys) + batch * 100
    raise AssertionError("the disk does not fill")


@pytest.mark.only_on("sqlite", "the disk of DATA_DIR is the database's")
def test_a_full_disk_is_said_and_recovers(tmp_path, provider, start_gateway):
    data = tmp_path / "small"
    with small_disk(data, 48):
        gateway = start_gateway(DATA_DIR=data, POOL_SIZE_MB=4, SPOOL_SIZE_MB=4, workers=1)
        group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b"])
        assert gateway.ask(group).status == 200
        with filled(data):
            large = b"x" * (2 << 20)  # goes to a file
            got = gateway.fcgi("POST", group.path("/v1/x"), body=large)
            assert (got.status, got.json()["code"]) == (507, "INSUFFICIENT_STORAGE")
            got = gateway.ask(group, body=large)  # where the web server has it first
            assert got.status >= 500 and got.json()["code"]
            assert gateway.ask(group).status == 200  # what needs no room goes on
            stored = fill_database(gateway, group)
            assert group.stats()["key_stats"]["total_keys"] == stored, "nothing is half-written"
        assert gateway.ask(group, body=large).status == 200
        gateway.api.create_group(provider.origin, keys=["sk-c"])
        assert gateway.ask(group).status == 200
        assert [r["status_code"] for r in group.logs(2)][-1] == 200
        gateway.stop()


@pytest.mark.only_on("sqlite", "POOL_SIZE_MB is the embedded pool's")
def test_a_full_pool_is_said_and_recovers(start_gateway, provider):
    gateway = start_gateway(POOL_SIZE_MB=1, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    code = None
    for batch in range(20):
        got = gateway.api.raw("POST", "/api/keys/add-multiple", {
            "group_id": group.id,
            "keys_text": "\n".join(f"sk-{batch}-{i}-{'x' * 60}" for i in range(2000))})
        if got.status != 200:
            code = got.json()["code"]
            break
    assert code == "POOL_FULL"
    assert "POOL_SIZE_MB" in got.json()["message"]
    assert gateway.ask(group).status == 200, "the keys that are in go on"
    gateway.restart(POOL_SIZE_MB=64)
    total = group.stats()["key_stats"]["total_keys"]
    provider.forget()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: gateway.ask(group), range(min(total, 300))))
    assert len(set(provider.keys)) == min(total, 300), "every key takes its turn"
    ((rows,),) = gateway.query("SELECT count(*) FROM api_keys")
    assert rows == total


def test_a_full_spool_loses_bodies_then_the_oldest_rows(start_gateway, provider):
    gateway = start_gateway(SPOOL_SIZE_MB=1, workers=1)
    gateway.api.set(request_log_write_interval_minutes=1440)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"],
                                     config={"enable_request_body_logging": True})
    body = b'{"model":"m","pad":"' + b"x" * 60_000 + b'"}'
    for _ in range(60):
        assert gateway.ask(group, body=body).status == 200
    for _ in range(10):
        assert gateway.ask(group).status == 200
    spooled = sum(f.stat().st_size for f in (gateway.data / "spool").rglob("*") if f.is_file())
    assert spooled <= 1.3 * (1 << 20)
    rows = group.logs()
    assert len(rows) >= 10
    assert any(not row["request_body"] for row in rows), "bodies go first"
    assert "spool" in gateway.log_text().lower(), "what was lost is said"
    metrics = gateway.client.request("GET", "/metrics", gateway.headers()).text
    assert f"\ngpt_load_spool_rows_lost_total {70 - len(rows)}\n" in metrics
    assert gateway.ask(group).status == 200
    assert len(group.logs(len(rows) + 1)) == len(rows) + 1, "it recovers"


def test_out_of_descriptors_is_a_503_before_an_outage(start_gateway, provider):
    gateway = start_gateway(workers=1, MAX_CONCURRENT_REQUESTS=10000,
                            descriptors=128)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    streams = [provider.on(Stream(), path=f"/v1/{i}") for i in range(100)]
    opened = []
    with contextlib.ExitStack() as stack:
        for i in range(100):
            got = stack.enter_context(gateway.open(group, f"/v1/{i}"))
            if got.status == 503:
                assert got.json()["code"] == "GATEWAY_BUSY"
                break
            assert got.status == 200
            opened.append((got, streams[i]))
        else:
            pytest.fail("more streams than descriptors")
        assert len(opened) >= 20
        for got, stream in opened:
            stream.send(sse("x"))
            stream.end()
            assert got.body == sse("x")
    until(lambda: gateway.ask(group).status == 200, "there is room again", 10)
