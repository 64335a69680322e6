# SPDX-License-Identifier: MIT
"""Processor time and memory of processes and threads, out of /proc; medians."""

import os
import pathlib
import statistics

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def median(values):
    return statistics.median(values)


def thread_cpu_ns(task):
    """Time on a processor. schedstat counts nanoseconds; stat, where the kernel has
    no schedstat, ticks of 10 ms."""
    try:
        return int((task / "schedstat").read_text().split()[0])
    except (OSError, IndexError):
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_NS


def cpu_ns(pids):
    """{(pid, thread id): (thread's name, nanoseconds)} of all their threads."""
    found = {}
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                found[pid, int(task.name)] = ((task / "comm").read_text().strip(),
                                              thread_cpu_ns(task))
            except OSError:
                continue  # the thread has just ended
    return found


class Cpu:
    """Sums what was used between start() and stop(), over several spans, by part:
    parts is {name: function(pid, thread id, thread's name) → bool}, the first that
    says yes takes it."""

    def __init__(self, pids, parts):
        self.pids = pids
        self.parts = parts
        self.ns = dict.fromkeys(parts, 0)
        self._before = {}

    def start(self):
        self._before = cpu_ns(self.pids())

    def stop(self):
        for (pid, tid), (name, after) in cpu_ns(self.pids()).items():
            spent = after - self._before.get((pid, tid), (name, 0))[1]
            for part, is_of in self.parts.items():
                if is_of(pid, tid, name):
                    self.ns[part] += spent
                    break

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()


def status_kb(pid, field):
    """A line of /proc/PID/status: VmRSS, RssAnon, …"""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise KeyError(field)


def total_kb(pids, field):
    return sum(status_kb(pid, field) for pid in pids)


def private_kb(pid):
    """Memory that nothing else shares."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
