# SPDX-License-Identifier: MIT
"""Mock forward proxies: HTTP (absolute form and CONNECT, over TLS too) and SOCKS5.
Each counts its uses and writes down whom it was asked to reach."""

import asyncio
import base64
import ssl
import struct
import urllib.parse

from . import loop, wire


class _Proxy:
    def __init__(self, tls=None, user=None):
        """tls: (certificate, key) to speak TLS with the client. user: "name:password"."""
        self._tls = tls
        self._user = user
        self.uses = []  # "host:port", in order
        self._wires = set()

    def __enter__(self):
        context = None
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)

        async def listen():
            return await loop.loop().create_server(self._accept, "127.0.0.1", 0, ssl=context)
        self._server = loop.call(listen())
        self.address = "127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *exc):
        async def shut():
            self._server.close()
            for one in list(self._wires):
                one.transport.close()
        loop.call(shut())

    def _accept(self):
        one = wire.Wire(self._serve)
        self._wires.add(one)
        one.on_close.append(lambda: self._wires.discard(one))
        return one

    async def _tunnel(self, client, host, port, first=b""):
        """Bytes both ways until one side ends."""
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(first)

        async def up():
            while not client.closed.is_set():
                if client.buffer:
                    writer.write(await client.read_exactly(len(client.buffer)))
                    await writer.drain()
                else:
                    await client._more()

        async def down():
            while data := await reader.read(65536):
                await client.write(data)
        tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()


class HttpProxy(_Proxy):
    @property
    def url(self):
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._user + '@' if self._user else ''}{self.address}"

    async def _serve(self, client):
        request = wire.Request(await client.read_until(b"\r\n\r\n"), client)
        if self._user:
            wanted = "Basic " + base64.b64encode(self._user.encode()).decode()
            if request.header("proxy-authorization") != wanted:
                await client.write(b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n"
                                   b"Content-Length: 0\r\n\r\n")
                return
        if request.method == "CONNECT":
            self.uses.append(request.target)
            host, _, port = request.target.rpartition(":")
            await client.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await self._tunnel(client, host, int(port))
        else:
            url = urllib.parse.urlsplit(request.target)
            self.uses.append(url.netloc)
            target = urllib.parse.urlunsplit(("", "", url.path, url.query, ""))
            line = f"{request.method} {target} HTTP/1.1".encode("latin-1")
            kept = [h for h in request.header_lines if not h.lower().startswith(b"proxy-")]
            first = b"\r\n".join([line, *kept, b"", b""])
            await self._tunnel(client, url.hostname, url.port or 80, first)


class SocksProxy(_Proxy):
    @property
    def url(self):
        return f"socks5://{self._user + '@' if self._user else ''}{self.address}"

    async def _serve(self, client):
        _, n = await client.read_exactly(2)
        methods = await client.read_exactly(n)
        method = 2 if self._user else 0
        if method not in methods:
            await client.write(b"\x05\xff")
            return
        await client.write(bytes([5, method]))
        if method == 2:
            _, n = await client.read_exactly(2)
            name = await client.read_exactly(n)
            (n,) = await client.read_exactly(1)
            password = await client.read_exactly(n)
            good = f"{name.decode()}:{password.decode()}" == self._user
            await client.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        _, _, _, kind = await client.read_exactly(4)
        if kind == 1:
            host = ".".join(map(str, await client.read_exactly(4)))
        elif kind == 3:
            (n,) = await client.read_exactly(1)
            host = (await client.read_exactly(n)).decode()
        else:
            raise wire.Gone
        (port,) = struct.unpack(">H", await client.read_exactly(2))
        self.uses.append(f"{host}:{port}")
        await client.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await self._tunnel(client, host, port)
