#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bench: the provider reached directly, nginx as a plain reverse proxy, and this
gateway behind lighttpd, in one run, round by round in turn, so that a busy moment of
the machine hits all three. Prints one table with the budgets and writes a JSON file.

GPT_LOAD_BUILD names the build tree; `make bench BENCHFLAGS=…` sets it."""

import argparse
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import measure  # noqa: E402
import table  # noqa: E402
from lib import fcgi  # noqa: E402
from lib.gateway import BUILD, MASTER, Gateway, children  # noqa: E402
from lib.wait import until  # noqa: E402
import with_redis  # noqa: E402
from servers import Servers  # noqa: E402

PROGRAMS = BUILD / "tests" / "bench"
READER_THREAD = "reader"  # of the responder; its main thread is the loop, the rest jobs
STEPS = ("start", "streams", "load", "rate", "redis", "add_keys", "pick")
CLIENTS = (1, 32, 256)
CPU_AT = 32  # the client count at which processor time is taken
KEYS = 100
MANY_KEYS, KEYS_A_CALL = 100_000, 5000
RATE = 500
STREAM_EVENTS, STREAM_INTERVAL_MS, STREAMS_PER_SECOND = 8, 2000, 500
BODY = {"model": "gpt-4.1-nano", "temperature": 0.7,
        "messages": [{"role": "user", "content": "Say hello in one short sentence, "
                      "without any greeting that names a person, a place or a day of the "
                      "week, and do not repeat the question. Thank you very much indeed "
                      "for this kind help, my good old machine."}]}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default=pathlib.Path("bench.json"), type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int, help="of each measurement")
    parser.add_argument("--seconds", default=2, type=int, help="of each round")
    parser.add_argument("--streams", default=2000, type=int, help="event streams at once")
    parser.add_argument("--scale", action="store_true", help="8,000 streams")
    parser.add_argument("--only", nargs="*", choices=STEPS, default=STEPS)
    parser.add_argument("--targets", nargs="*", choices=("direct", "nginx", "gateway"),
                        default=("direct", "nginx", "gateway"))
    args = parser.parse_args()
    args.streams = 8000 if args.scale else args.streams
    return args


class Bench:
    """Everything that runs, and one method per measurement. Results: self.results."""

    def __init__(self, args, folder, servers, gateway):
        self.args = args
        self.servers = servers
        self.gateway = gateway  # None when it is not a target
        self.body = folder / "body.json"
        self.body.write_text(json.dumps(BODY))
        self.key = gateway.api.auth_key if gateway else "none"
        self.results = {}

    def port_and_path(self, target, stream=False):
        path = "/v1/chat/completions"
        if target == "gateway":
            return self.gateway.port, f"/proxy/{'stream' if stream else 'bench'}{path}"
        if target == "nginx":
            return self.servers.proxy, ("/stream" if stream else "") + path
        return self.servers.streams if stream else self.servers.provider, path

    def rounds(self, count=None):
        """(round, target), the targets in turn within each round."""
        for i in range(count or self.args.rounds):
            for target in self.args.targets:
                yield i, target

    # --- whose processor time ---

    def pids(self, target):
        if target == "nginx":
            return children(self.servers.proxy_pid)
        if target == "gateway":
            return [self.gateway.web.pid, *children(self.gateway.web.pid),
                    *self.gateway.workers()]
        return []

    def cpu(self, target):
        if target == "nginx":
            parts = {"nginx": lambda pid, tid, name: True}
        else:
            web = self.gateway.web.pid
            workers = set(self.gateway.workers())
            parts = {
                "lighttpd": lambda pid, tid, name: pid == web,
                "responder": lambda pid, tid, name: pid in workers and
                             (tid == pid or name == READER_THREAD),
                "jobs": lambda pid, tid, name: pid in workers,
                "admin": lambda pid, tid, name: True,
            }
        return measure.Cpu(lambda: self.pids(target), parts)

    # --- load: as fast as it goes ---

    def wrk(self, target, clients, seconds):
        port, path = self.port_and_path(target)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency",
             "-s", HERE / "chat.lua", f"http://127.0.0.1:{port}{path}"],
            env={**os.environ, "BENCH_BODY": str(self.body), "BENCH_KEY": self.key},
            capture_output=True, text=True, check=False)
        lines = [x for x in done.stdout.splitlines() if x.startswith("JSON ")]
        if not lines:
            raise SystemExit(f"wrk failed: {done.stdout}{done.stderr}")
        result = json.loads(lines[0].removeprefix("JSON "))
        result["per_second"] = result["requests"] / result["seconds"]
        return result

    def load(self):
        cpu = {t: self.cpu(t) for t in self.args.targets if t != "direct"}
        flush = self.cpu("gateway") if self.gateway else None
        counted = dict.fromkeys(cpu, 0)
        sent = 0
        if flush:
            rows_before = self.rows()
            flush.start()
        for target in self.args.targets:
            sent += self.wrk(target, CPU_AT, 1)["requests"] if target == "gateway" else 0
        for clients in CLIENTS:
            got = {target: [] for target in self.args.targets}
            for _, target in self.rounds():
                if clients == CPU_AT and target in cpu:
                    cpu[target].start()
                one = self.wrk(target, clients, self.args.seconds)
                if clients == CPU_AT and target in cpu:
                    cpu[target].stop()
                    counted[target] += one["requests"]
                got[target].append(one)
                sent += one["requests"] if target == "gateway" else 0
            self.results[f"load_{clients}"] = {
                target: {what: measure.median([one[what] for one in ones])
                         for what in ("per_second", "p50_us", "p99_us", "errors")}
                for target, ones in got.items()}
        self.results["cpu_us_per_request"] = {
            target: {part: ns / 1000 / counted[target] for part, ns in used.ns.items()}
            for target, used in cpu.items()}
        if self.gateway:
            self.results["rss_kb"] = {
                "lighttpd": measure.status_kb(self.gateway.web.pid, "VmRSS"),
                "responder": measure.total_kb(self.gateway.workers(), "VmRSS")}
            self.flush(flush, rows_before, sent)
        if "nginx" in self.args.targets:
            self.results.setdefault("rss_kb", {})["nginx"] = measure.total_kb(
                self.pids("nginx"), "VmRSS")

    def rows(self):
        return self.gateway.query("SELECT count(*) FROM request_logs")[0][0]

    def flush(self, cpu, rows_before, sent):
        """Has the rows written now, and counts what the jobs threads took for all."""
        self.gateway.api.set(request_log_write_interval_minutes=0)
        until(lambda: self.rows() - rows_before >= sent, "every row is in the DB",
              deadline=300, every=0.5)
        cpu.stop()
        rows = self.rows() - rows_before
        self.results["flush"] = {"rows": rows, "us_per_row": cpu.ns["jobs"] / 1000 / rows}
        self.gateway.api.set(request_log_write_interval_minutes=1)

    # --- rate: 500 requests/s ---

    def rate(self):
        got = {target: [] for target in self.args.targets}
        for _, target in self.rounds(max(self.args.rounds, 5)):
            port, path = self.port_and_path(target)
            got[target].append(self.run_json(
                "rate", port, path, self.key, self.body, RATE, self.args.seconds))
        self.results["rate"] = {
            target: {what: measure.median([one[what] for one in ones])
                     for what in ("p50_us", "p99_us", "max_us", "errors")}
            for target, ones in got.items()}
        if {"nginx", "gateway"} <= got.keys():
            self.results["rate"]["added"] = {
                what: measure.median([ours[what] - theirs[what] for ours, theirs
                                      in zip(got["gateway"], got["nginx"], strict=True)])
                for what in ("p50_us", "p99_us")}

    def redis(self):
        if self.gateway:
            self.results["redis"] = with_redis.run(self, prepare)

    def run_json(self, program, *arguments):
        done = subprocess.run([PROGRAMS / program, *map(str, arguments)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{program} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    # --- streams: many at once ---

    def streams(self):
        self.results["streams"] = {target: self.open_streams(target)
                                   for target in self.args.targets}

    def memory(self, target):
        """Anonymous memory, in KiB, of the processes that hold the streams."""
        if target == "gateway":
            return {"lighttpd": measure.status_kb(self.gateway.web.pid, "RssAnon"),
                    "responder": measure.total_kb(self.gateway.workers(), "RssAnon")}
        return {target: measure.total_kb(self.pids(target), "RssAnon")}

    def open_streams(self, target):
        port, path = self.port_and_path(target, stream=True)
        n = self.args.streams
        self.run_json("streams", port, path, self.key, self.body, 10, 100, STREAM_EVENTS)
        before = self.memory(target)
        process = subprocess.Popen(
            [PROGRAMS / "streams", str(port), path, self.key, self.body, str(n),
             str(STREAMS_PER_SECOND), str(STREAM_EVENTS)], stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        opened = line == "open\n"
        during = self.memory(target)
        rest = process.stdout.read()
        process.wait()
        result = json.loads(rest if opened else line)
        result["all_open_at_once"] = opened
        result["kb_per_stream"] = {who: (during[who] - before[who]) / n for who in before}
        return result

    # --- start ---

    def start(self):
        if self.gateway:
            times = [self.start_once(i) for i in range(5)]
            self.results["start"] = {
                "first_answer_ms": measure.median(times),
                "idle_private_kb": max(map(measure.private_kb, self.gateway.workers()))}

    def start_once(self, i):
        """From exec with a listening socket on descriptor 0 to the first answer's end."""
        path = self.gateway.folder / f"start-{i}.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(8)
            began = time.monotonic()
            process = subprocess.Popen([MASTER], stdin=listener,
                                       env=self.gateway.environment, cwd=self.gateway.folder,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _, target = self.port_and_path("gateway")
            answer = fcgi.request(path, "POST", target,
                                  {"Authorization": f"Bearer {self.key}",
                                   "Content-Type": "application/json"},
                                  self.body.read_bytes())
            took = (time.monotonic() - began) * 1000
        finally:
            process.terminate()
            process.wait(15)
        if answer.status != 200:
            raise SystemExit(f"the first answer is {answer.status}: {answer.body!r}")
        return took

    # --- keys ---

    def add_keys(self):
        if not self.gateway:
            return
        group = self.gateway.api.create_group("http://127.0.0.1:9", name="many")
        began = time.monotonic()
        for first in range(0, MANY_KEYS, KEYS_A_CALL):
            self.gateway.api.add_keys(group, [f"sk-many-{i:032}" for i
                                              in range(first, first + KEYS_A_CALL)])
        self.results["add_keys"] = {"keys": MANY_KEYS, "seconds": time.monotonic() - began}
        group.delete()

    def pick(self):
        done = subprocess.run([PROGRAMS / "pick"], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise SystemExit(f"pick failed: {done.stdout}{done.stderr}")
        self.results["pick"] = parse_pick(done.stdout)


def parse_pick(text):
    """The table of tests/bench/pick: {keys: {processes: µs a pick}}."""
    found = {}
    for line in text.splitlines()[1:]:
        keys, _, processes, pick_us, *_ = line.split()
        found.setdefault(keys, {})[processes] = float(pick_us)
    return found


def prepare(gateway, servers):
    """The groups that the measurements use, and their keys."""
    for name, port in (("bench", servers.provider), ("stream", servers.streams)):
        gateway.api.create_group(f"http://127.0.0.1:{port}", name=name,
                                 keys=[f"sk-{name}-{i:04}" for i in range(KEYS)])


def main():
    args = arguments()
    for program in ("wrk", "nginx", "lighttpd"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            raise SystemExit(f"the bench needs {program}")
    if "gateway" in args.targets and b"__asan_init" in MASTER.read_bytes():
        raise SystemExit("the bench wants a build without sanitizers")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gpt-load-bench-"))
    with Servers(PROGRAMS, folder, os.cpu_count(), STREAM_EVENTS,
                 STREAM_INTERVAL_MS) as servers:
        gateway = None
        if "gateway" in args.targets:
            gateway = Gateway(workers=os.cpu_count(), MAX_CONCURRENT_REQUESTS=20000).start()
        failed = True
        try:
            if gateway:
                prepare(gateway, servers)
            bench = Bench(args, folder, servers, gateway)
            for what in args.only:
                print(f"… {what}", file=sys.stderr, flush=True)
                getattr(bench, what)()
            failed = False
        finally:
            if gateway:
                gateway.stop(failed)
    shutil.rmtree(folder)
    bench.results["machine"] = {"cores": os.cpu_count(), "kernel": platform.release(),
                                "load": os.getloadavg()}
    args.json.write_text(json.dumps(bench.results, indent=1) + "\n")
    print(table.text(bench.results))


if __name__ == "__main__":
    main()
