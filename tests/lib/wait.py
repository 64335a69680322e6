# SPDX-License-Identifier: MIT
"""Waiting for a condition, never for a length of time."""

import time

# A sanitizer build on a busy machine is slow; a test that passes never waits this long.
DEADLINE = 20.0


class Late(AssertionError):
    """What was waited for did not come."""


def until(condition, what, deadline=DEADLINE, every=0.02):
    """Calls condition() until it returns something true, and returns that."""
    end = time.monotonic() + deadline
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() >= end:
            raise Late(f"not within {deadline:g} s: {what} (last: {got!r})")
        time.sleep(every)
