# SPDX-License-Identifier: MIT
"""Free TCP ports for programs that must be told a number."""

import os
import socket

_given = set()
RANGE = 100  # ports of one process


def free_port():
    """A port nobody listens on.

    Each pytest-xdist worker takes from a range of its own, below the kernel's
    ephemeral range, so that two workers or an outgoing connection never take the
    number before the program has bound it. Two runs at once are kept apart by
    GPT_LOAD_TEST_PORTS, the first port of a run.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = int(os.environ.get("GPT_LOAD_TEST_PORTS", "20000")) + RANGE * worker
    for port in range(first, first + RANGE):
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    _given.clear()
    return free_port()
