# SPDX-License-Identifier: MIT
"""What the bench runs beside the gateway: the two providers, and nginx as a plain
reverse proxy before them."""

import contextlib
import pathlib
import shutil
import signal
import subprocess

from lib.ports import free_port
from lib.wait import until

HERE = pathlib.Path(__file__).resolve().parent


def listening(port):
    """Whether a socket of this machine listens on the port of IPv4."""
    wanted = f":{port:04X}"
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(f[1].endswith(wanted) and f[3] == "0A" for f in map(str.split, lines))


@contextlib.contextmanager
def running(name, port, command, log):
    """Runs a server until the block ends; it is there when the block begins."""
    with open(log, "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until(lambda: listening(port) or process.poll() is not None, f"{name} listens")
        if process.poll() is not None:
            raise SystemExit(f"{name} did not start, see {log}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def nginx(name, folder, port, **values):
    """nginx with tests/bench/NAME.conf; a context manager of the master's pid."""
    text = (HERE / f"{name}.conf").read_text()
    for key, value in {"DIR": folder, "PORT": port, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    conf = folder / f"{name}.conf"
    conf.write_text(text)
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        raise SystemExit("the bench needs nginx")
    return running(f"nginx ({name})", port,
                   [program, "-p", folder, "-c", conf, "-e", folder / f"{name}-start.log"],
                   folder / f"{name}-out.log")


class Servers:
    """Enters all of them; .provider, .streams, .proxy are ports."""

    def __init__(self, programs, folder, workers, events, interval_ms):
        self.provider, self.streams, self.proxy = free_port(), free_port(), free_port()
        self._stack = contextlib.ExitStack()
        enter = self._stack.enter_context
        try:
            enter(nginx("provider", folder, self.provider))
            enter(running("sse_server", self.streams,
                          [programs / "sse_server", str(self.streams), str(events),
                           str(interval_ms)], folder / "sse_server.log"))
            self.proxy_pid = enter(nginx("proxy", folder, self.proxy, WORKERS=workers,
                                         PROVIDER=self.provider, STREAMS=self.streams))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._stack.close()
