# SPDX-License-Identifier: MIT
"""A small HTTP/1.1 client over a raw socket: sends exactly the bytes it is told to,
and says when each piece of the answer arrived."""

import json as jsonlib
import socket
import struct
import time

from .wait import DEADLINE


# A length of 0 is said for these (RFC 9110, 8.6).
WITH_A_BODY = ("POST", "PUT", "PATCH")


class Broken(Exception):
    """The answer ended before its framing said so."""


class Response:
    """Status line and headers are there at once; the body is read when asked for."""

    def __init__(self, sock, method):
        self._sock = sock
        self._buffer = bytearray()
        self._body = None
        self._chunk_left = 0
        self._ended = False
        while True:
            head = self._until(b"\r\n\r\n")[:-4].split(b"\r\n")
            _, status, reason = (head[0] + b" ").split(b" ", 2)
            self.status = int(status)
            if self.status >= 200:
                break
        self.reason = reason.decode("latin-1").strip()
        self.headers = [tuple(part.strip() for part in line.decode("latin-1").split(":", 1))
                        for line in head[1:]]
        self.at = time.monotonic()
        if method == "HEAD" or self.status in (204, 304):
            self._ended = True
        self._chunked = "chunked" in (self.header("transfer-encoding") or "").lower()
        length = self.header("content-length")
        self._left = int(length) if length is not None and not self._chunked else None
        if self._left == 0:
            self._ended = True

    # --- headers ---

    def header_all(self, name):
        return [value for have, value in self.headers if have.lower() == name.lower()]

    def header(self, name):
        found = self.header_all(name)
        return found[0] if found else None

    # --- body ---

    @property
    def body(self):
        if self._body is None:
            parts = []
            while part := self.read():
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return jsonlib.loads(self.body)

    def read(self):
        """The next piece of the body as it comes; b"" at its end."""
        if self._ended:
            return b""
        if self._chunked:
            return self._read_chunk()
        if self._left is None:
            got = bytes(self._buffer) or self._sock.recv(65536)
            self._buffer.clear()
            self._ended = not got
            return got
        if not self._buffer:
            self._fill()
        got = bytes(self._buffer[:self._left])
        del self._buffer[:len(got)]
        self._left -= len(got)
        self._ended = self._left == 0
        return got

    def _read_chunk(self):
        if self._chunk_left == 0:
            self._chunk_left = int(self._until(b"\r\n").split(b";")[0], 16)
            if self._chunk_left == 0:
                self._until(b"\r\n")
                self._ended = True
                return b""
        if not self._buffer:
            self._fill()
        got = bytes(self._buffer[:self._chunk_left])
        del self._buffer[:len(got)]
        self._chunk_left -= len(got)
        if self._chunk_left == 0:
            self._until(b"\r\n")
        return got

    def events(self):
        """Yields (event, time of arrival) of a text/event-stream; comments too."""
        pending = b""
        while part := self.read():
            at = time.monotonic()
            pending += part
            while b"\n\n" in pending:
                event, _, pending = pending.partition(b"\n\n")
                yield event + b"\n\n", at
        assert pending == b"", f"the stream ends within an event: {pending!r}"

    def settimeout(self, seconds):
        self._sock.settimeout(seconds)

    def _until(self, mark):
        while (at := self._buffer.find(mark)) < 0:
            self._fill()
        got = bytes(self._buffer[:at + len(mark)])
        del self._buffer[:at + len(mark)]
        return got

    def _fill(self):
        got = self._sock.recv(262144)
        if not got:
            raise Broken(f"the connection closed in the middle of the answer "
                         f"(buffered: {bytes(self._buffer[-200:])!r})")
        self._buffer += got

    # --- leaving ---

    def close(self):
        self._sock.close()

    def reset(self):
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def header_lines(headers):
    """Accepts a mapping or (name, value) pairs."""
    pairs = headers.items() if isinstance(headers, dict) else (headers or ())
    return [(name, str(value)) for name, value in pairs]


def chunked(parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p) + b"0\r\n\r\n"


class Client:
    def __init__(self, host, port, timeout=DEADLINE):
        self.host = host
        self.port = port
        self.timeout = timeout

    def connect(self):
        sock = socket.create_connection((self.host, self.port), self.timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def send(self, method, target, headers=None, body=None, json=None, chunks=None):
        """Sends one request; the socket and the method go into a Response."""
        if json is not None:
            body = jsonlib.dumps(json).encode()
        pairs = header_lines(headers)
        names = {name.lower() for name, _ in pairs}
        if "host" not in names:
            pairs.insert(0, ("Host", f"{self.host}:{self.port}"))
        if "connection" not in names:
            pairs.append(("Connection", "close"))
        if json is not None and "content-type" not in names:
            pairs.append(("Content-Type", "application/json"))
        if chunks is not None:
            pairs.append(("Transfer-Encoding", "chunked"))
            body = chunked(chunks)
        elif (body is not None or method in WITH_A_BODY) and "content-length" not in names:
            pairs.append(("Content-Length", str(len(body or b""))))
        head = f"{method} {target} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
        sock = self.connect()
        try:
            sock.sendall(head.encode("latin-1") + (body or b""))
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the body was read: the answer may be there
        return sock

    def open(self, method, target, headers=None, **rest):
        """The answer with its body still to come: for streams."""
        return Response(self.send(method, target, headers, **rest), method)

    def request(self, method, target, headers=None, **rest):
        """The whole answer."""
        with self.open(method, target, headers, **rest) as response:
            response.body
            return response
