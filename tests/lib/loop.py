# SPDX-License-Identifier: MIT
"""The one event loop, in a thread, on which every mock server of a test run lives."""

import asyncio
import threading

_loop = None


def loop():
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
        threading.Thread(target=_loop.run_forever, name="mock servers", daemon=True).start()
    return _loop


def call(coroutine, timeout=10):
    """Runs a coroutine on the loop and waits for its result."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result(timeout)


def soon(fn, *args):
    loop().call_soon_threadsafe(fn, *args)
