# SPDX-License-Identifier: MIT
"""./start.sh, run as a user runs it."""

import contextlib
import os
import signal
import subprocess
import time

from .gateway import AUTH_KEY, ROOT
from .wait import until


@contextlib.contextmanager
def started(folder, port, **more):
    """./start.sh in the foreground, with `more` in its environment; yields (process,
    seconds until ready)."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PORT": str(port),
                   "HOST": "127.0.0.1", "AUTH_KEY": AUTH_KEY, "DATA_DIR": str(folder / "data"),
                   "WORKERS": "2", **more}
    log = open(folder / "start.log", "w+")
    begun = time.monotonic()
    # Whoever runs the tests in a shell's background has SIGINT ignored.
    process = subprocess.Popen(["./start.sh"], cwd=ROOT, env=environment, stdout=log, stderr=log,
                               stdin=subprocess.DEVNULL, start_new_session=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def ready():
        text = (folder / "start.log").read_text()
        assert process.poll() is None, text
        return f"ready: http://127.0.0.1:{port}" in text
    try:
        until(ready, "start.sh says that it is ready", 400, every=0.01)
        yield process, time.monotonic() - begun
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
