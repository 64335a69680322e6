# SPDX-License-Identifier: MIT
"""Load while something happens: nothing of it may be lost."""

import contextlib
import threading

from .wait import until


@contextlib.contextmanager
def load(ask, threads=4):
    """Calls ask() from threads all the time; yields the list of answers."""
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
