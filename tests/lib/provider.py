# SPDX-License-Identifier: MIT
"""The mock of the paid provider: real HTTP/1.1 over TCP, scripted by the test.

    provider.on(answer(json={"ok": True}))                     # every request
    provider.on(answer(401, json=...), key="sk-bad")           # only this key's
    provider.on(answer(500), times=2)                          # the next two
    stream = provider.on(Stream())                             # the test sends the events

The rule added last that matches is used. provider.requests holds everything
received, byte for byte, in order of arrival.
"""

import asyncio
import collections
import itertools
import json as jsonlib
import queue
import ssl
import threading
import urllib.parse
import zlib

from . import loop, wire
from .wait import DEADLINE, until

_hosts = itertools.count(1)


def json_bytes(value):
    return jsonlib.dumps(value, ensure_ascii=False).encode()


def gzip_bytes(data):
    pack = zlib.compressobj(wbits=31)
    return pack.compress(data) + pack.flush()


def sse(data, event=None):
    """One server-sent event; data is text, or a value to be written as JSON."""
    text = data if isinstance(data, str) else jsonlib.dumps(data)
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


# --- answers: each is `async def __call__(request)` and writes to request.wire ---


class Answer:
    """A whole answer. framing: "length", "chunked" or "close" (HTTP/1.0 style)."""

    def __init__(self, status, body, headers, framing, content_type, interim):
        self.status = status
        self.body = body
        self.headers = headers
        self.framing = framing
        self.content_type = content_type
        self.interim = interim

    def head(self, reason="Mock"):
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "length":
            lines.append(f"Content-Length: {len(self.body)}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        elif self.framing == "close":
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def __call__(self, request):
        out = request.wire
        for status in self.interim:
            await out.write(f"HTTP/1.1 {status} Interim\r\nX-Interim: yes\r\n\r\n".encode())
        await out.write(self.head())
        if request.method == "HEAD":
            return
        if self.framing == "chunked":
            middle = (len(self.body) + 1) // 2
            for part in (self.body[:middle], self.body[middle:]):
                if part:
                    await out.write(b"%x\r\n%s\r\n" % (len(part), part))
            await out.write(b"0\r\n\r\n")
        else:
            await out.write(self.body)
        if self.framing == "close":
            out.transport.close()


def answer(status=200, *, json=None, body=None, headers=(), framing="length",
           content_type=None, encoding=None, interim=()):
    """json or body; encoding "gzip" or "deflate" packs it; interim: 1xx sent before."""
    if json is not None:
        body = json_bytes(json)
        content_type = content_type or "application/json"
    body = body or b""
    headers = list(headers.items() if isinstance(headers, dict) else headers)
    if encoding:
        body = {"gzip": gzip_bytes, "deflate": zlib.compress}[encoding](body)
        headers.append(("Content-Encoding", encoding))
    if status in (204, 304):
        framing = "none"
    return Answer(status, body, headers, framing, content_type, interim)


class Stream:
    """An answer whose bytes the test releases one by one.

    Each request that the rule meets gets the same script only if opened alone: use
    one Stream per request. send() etc. may be called before the request arrives.
    """

    def __init__(self, status=200, headers=(), content_type="text/event-stream",
                 framing="chunked"):
        self._head = Answer(status, b"", list(headers), framing, content_type, ())
        self._framing = framing
        self._orders = None
        self._early = []
        self._lock = threading.Lock()
        self.opened = threading.Event()  # the request arrived, headers are out
        self.request = None

    def _order(self, *what):
        with self._lock:
            if self._orders is None:
                self._early.append(what)
            else:
                loop.soon(self._orders.put_nowait, what)

    def send(self, data):
        self._order("send", data)

    def end(self):
        self._order("end")

    def close(self):
        """Closes the connection in the middle of the answer (FIN)."""
        self._order("close")

    def reset(self):
        self._order("reset")

    def raw(self, data):
        """Bytes outside the framing."""
        self._order("raw", data)

    def wait_opened(self):
        assert self.opened.wait(DEADLINE), "the request did not reach the provider"
        return self.request

    def wait_gone(self, deadline=DEADLINE):
        """Until the gateway closed the connection; returns when (monotonic)."""
        return until(lambda: self.wait_opened().gone_at, "the upstream connection is closed",
                     deadline, every=0.005)

    async def __call__(self, request):
        out = request.wire
        await out.write(self._head.head())
        with self._lock:
            self._orders = asyncio.Queue()
            for order in self._early:
                self._orders.put_nowait(order)
        self.request = request
        self.opened.set()
        closed = asyncio.ensure_future(out.closed.wait())
        while True:
            order = asyncio.ensure_future(self._orders.get())
            await asyncio.wait({order, closed}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                order.cancel()
                raise wire.Gone
            verb, *data = order.result()
            if verb == "send":
                framed = data[0]
                if self._framing == "chunked":
                    framed = b"%x\r\n%s\r\n" % (len(framed), framed)
                await out.write(framed)
            elif verb == "raw":
                await out.write(data[0])
            elif verb == "end":
                closed.cancel()
                if self._framing == "chunked":
                    await out.write(b"0\r\n\r\n")
                else:
                    out.transport.close()
                return
            elif verb == "close":
                out.transport.close()
                raise wire.Gone
            elif verb == "reset":
                out.reset()
                raise wire.Gone


class never:
    """Takes the request and never answers."""

    async def __call__(self, request):
        await request.wire.closed.wait()


class hang_up:
    """Closes without an answer, or after the given bytes; reset: by RST."""

    def __init__(self, after=b"", reset=False):
        self.after = after
        self.by_reset = reset

    async def __call__(self, request):
        if self.after:
            await request.wire.write(self.after)
        if self.by_reset:
            request.wire.reset()
        else:
            request.wire.transport.close()
        raise wire.Gone


class drip:
    """A whole answer, `size` bytes at a time with `pause` seconds between."""

    def __init__(self, body, size, pause, content_type="application/octet-stream"):
        self.whole = answer(body=body, content_type=content_type)
        self.size = size
        self.pause = pause

    async def __call__(self, request):
        await request.wire.write(self.whole.head())
        body = self.whole.body
        for at in range(0, len(body), self.size):
            await request.wire.write(body[at:at + self.size])
            await asyncio.sleep(self.pause)


class echo:
    """Answers with the request body as it came."""

    def __init__(self, headers=()):
        self.headers = headers

    async def __call__(self, request):
        kind = request.header("content-type")
        await answer(body=request.body, content_type=kind, headers=self.headers)(request)


class Rule:
    def __init__(self, what, method, path, key, when, times):
        self.what = what
        self.method = method
        self.path = path
        self.key = key
        self.when = when
        self.left = times

    def matches(self, request):
        return (self.left != 0
                and self.method in (None, request.method)
                and self.path in (None, request.path)
                and self.key in (None, credential(request))
                and (self.when is None or self.when(request)))


def credential(request):
    """The upstream key, wherever a vendor looks for it."""
    bearer = request.header("authorization", "")
    if bearer.startswith("Bearer "):
        return bearer.removeprefix("Bearer ")
    for name in ("x-api-key", "x-goog-api-key", "api-key"):
        if request.header(name) is not None:
            return request.header(name)
    return dict(urllib.parse.parse_qsl(request.query)).get("key")


class Provider:
    """One listening socket. Use as a context manager."""

    def __init__(self, tls=None):
        """tls: (certificate file, key file), which are for 127.0.0.1.

        Else it has an address of its own: a port alone may come again, and what a
        gateway remembers of the one before, like an open breaker, with it.
        """
        n = next(_hosts)
        self._tls = tls
        self._host = "127.0.0.1" if tls else f"127.1.{n // 250}.{n % 250 + 1}"
        self._rules = [Rule(answer(json={"ok": True}), None, None, None, None, -1)]
        self._wires = set()
        self._arrived = queue.Queue()
        self.requests = []
        self.connections = 0  # accepted so far

    def __enter__(self):
        context = None
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
        self._server = loop.call(self._listen(context))
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"{self._host}:{self.port}"
        self.origin = f"{'https' if self._tls else 'http'}://{self.address}"
        return self

    def __exit__(self, *exc):
        self.stop()

    async def _listen(self, context):
        return await loop.loop().create_server(self._accept, self._host, 0, ssl=context,
                                               backlog=4096)

    def stop(self):
        """Refuses connections from now on and drops the open ones."""
        async def shut():
            self._server.close()
            for one in list(self._wires):
                one.reset() if one.transport else None
        loop.call(shut())

    def _accept(self):
        self.connections += 1
        one = wire.Wire(self._serve)
        self._wires.add(one)
        one.on_close.append(lambda: self._wires.discard(one))
        return one

    async def _serve(self, connection):
        while True:
            request = await wire.read_request(connection)
            rule = next(r for r in reversed(self._rules) if r.matches(request))
            rule.left -= 1 if rule.left > 0 else 0
            self.requests.append(request)
            self._arrived.put(request)
            await rule.what(request)

    @property
    def open_connections(self):
        return len(self._wires)

    def on(self, what, *, method=None, path=None, key=None, when=None, times=-1):
        """Adds a rule; returns its answer, so that a Stream can be kept."""
        self._rules.append(Rule(what, method, path, key, when, times))
        return what

    def drop_idle(self):
        """Closes every open connection from this side."""
        async def shut():
            for one in list(self._wires):
                one.transport.close()
        loop.call(shut())

    # --- what was received ---

    def next_request(self, deadline=DEADLINE):
        """The next request that arrived since the last call; waits for it."""
        try:
            return self._arrived.get(timeout=deadline)
        except queue.Empty:
            raise AssertionError("no request reached the provider") from None

    @property
    def last(self):
        return self.requests[-1]

    @property
    def keys(self):
        """The upstream keys of all requests, in order."""
        return [credential(request) for request in self.requests]

    def counts(self):
        return collections.Counter(self.keys)

    def forget(self):
        self.requests.clear()
        while not self._arrived.empty():
            self._arrived.get_nowait()
