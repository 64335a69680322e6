# SPDX-License-Identifier: MIT
"""Requests beside a test, whatever becomes of them: at a steady rate, or each thread
one after another."""

import collections
import contextlib
import queue
import threading
import time

from .wait import until

LATE = 1.0  # seconds that all of them may be behind


class Load:
    """with Load(ask, rate=200) as load: …    ask() returns a status; what it raises
    counts as its name. Each request begins at its own time, not when the one before
    has ended."""

    def __init__(self, ask, rate=200, threads=48):
        self.ask = ask
        self.rate = rate
        self.answers = collections.Counter()
        self.slowest = 0.0
        self.failures = []  # (seconds since the start, what, seconds it took)
        self._lock = threading.Lock()
        self._jobs = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        self._clock = threading.Thread(target=self._tick)
        self.begun = time.monotonic()

    def __enter__(self):
        for thread in [*self._threads, self._clock]:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._clock.join()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _tick(self):
        n = 0
        while not self._stop.is_set():
            due = self.begun + n / self.rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._jobs.put(due)
            n += 1

    def _work(self):
        while self._jobs.get() is not None:
            begun = time.monotonic()
            try:
                what = self.ask()
            except Exception as e:  # whatever it is, it is counted
                what = type(e).__name__
            took = time.monotonic() - begun
            with self._lock:
                self.answers[what] += 1
                self.slowest = max(self.slowest, took)
                if what != 200:
                    self.failures.append((round(begun - self.begun, 2), what, round(took, 2)))

    @property
    def done(self):
        return sum(self.answers.values())

    def check(self):
        """No request failed, and there were as many as there should be."""
        assert not self.failures, (dict(self.answers), self.failures[:20])
        assert self.done > 0


@contextlib.contextmanager
def load(ask, threads=4):
    """Calls ask() from threads, one call after another; yields the list of answers."""
    over, answers = threading.Event(), []

    def run():
        while not over.is_set():
            try:
                answers.append(ask())
            except Exception as lost:  # noqa: BLE001 - what is lost is what is counted
                answers.append(lost)
    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        until(lambda: len(answers) > 20, "there is load")
        yield answers
        count = len(answers)
        until(lambda: len(answers) > count + 20, "there is load after it as well")
    finally:
        over.set()
        for thread in running:
            thread.join(30)
