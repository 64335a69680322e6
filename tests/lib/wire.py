# SPDX-License-Identifier: MIT
"""HTTP/1.1 messages as bytes: what the mock provider and the mock proxies share."""

import asyncio
import socket
import struct
import time


class Gone(Exception):
    """The peer closed the connection."""


class Wire(asyncio.Protocol):
    """One accepted connection: buffered reads, bounded writes, and when it closed."""

    def __init__(self, serve):
        self._serve = serve
        self._wake = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.buffer = bytearray()
        self.closed = asyncio.Event()
        self.closed_at = None  # time.monotonic()
        self.on_close = []  # called once, in order
        self.transport = None
        self.task = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport):
        self.transport = transport
        self.task = asyncio.ensure_future(self._run())

    def data_received(self, data):
        self.buffer += data
        self._wake.set()

    def eof_received(self):
        self._note_close()
        return False

    def connection_lost(self, exc):
        self._note_close()

    def pause_writing(self):
        self._may_write.clear()

    def resume_writing(self):
        self._may_write.set()

    def _note_close(self):
        if self.closed_at is None:
            self.closed_at = time.monotonic()
            self.closed.set()
            self._may_write.set()
            self._wake.set()
            for fn in self.on_close:
                fn()

    async def _run(self):
        try:
            await self._serve(self)
        except (Gone, ConnectionError):
            pass
        finally:
            self.transport.close()

    # --- for the server's coroutine ---

    async def _more(self):
        if self.closed.is_set():
            raise Gone
        self._wake.clear()
        await self._wake.wait()

    async def read_until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            await self._more()
        return self._cut(at + len(mark))

    async def read_exactly(self, n):
        while len(self.buffer) < n:
            await self._more()
        return self._cut(n)

    def _cut(self, n):
        got = bytes(self.buffer[:n])
        del self.buffer[:n]
        return got

    async def write(self, data):
        if self.closed.is_set():
            raise Gone
        self.transport.write(data)
        await self._may_write.wait()

    def reset(self):
        """Closes with RST instead of FIN, dropping what is still unsent."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Request:
    """A request as it came: nothing in it is normalised."""

    def __init__(self, head, wire):
        lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.line = lines[0]
        self.header_lines = lines[1:]
        method, target, self.version = lines[0].split(b" ", 2)
        self.method = method.decode("ascii")
        self.target = target.decode("latin-1")
        self.body = b""
        self.wire = wire
        self.at = time.monotonic()

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        return self.target.partition("?")[2]

    @property
    def headers(self):
        """(lower-case name, value) in order, repeated ones included."""
        pairs = (line.decode("latin-1").partition(":") for line in self.header_lines)
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def header(self, name, default=None):
        found = self.header_all(name)
        return found[0] if found else default

    def header_all(self, name):
        return [value for have, value in self.headers if have == name.lower()]

    @property
    def gone_at(self):
        """When the client's connection closed (monotonic), or None."""
        return self.wire.closed_at


async def read_request(wire):
    """The next request of a connection with its whole body."""
    request = Request(await wire.read_until(b"\r\n\r\n"), wire)
    if request.header("expect", "").lower() == "100-continue":
        await wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in request.header("transfer-encoding", "").lower():
        body = bytearray()
        while size := int((await wire.read_until(b"\r\n")).split(b";")[0], 16):
            body += (await wire.read_exactly(size + 2))[:-2]
        while await wire.read_until(b"\r\n") != b"\r\n":
            pass
        request.body = bytes(body)
    else:
        request.body = await wire.read_exactly(int(request.header("content-length", "0")))
    return request
