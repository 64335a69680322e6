# SPDX-License-Identifier: MIT
"""A Unix socket in front of another, which takes its time: a server that is slow."""

import asyncio

from . import loop


class SlowRelay:
    def __init__(self, path, target, delay):
        """Listens on `path`; every answer of `target` comes `delay` seconds late, which may
        be set anew."""
        self.path, self.target, self.delay = path, target, delay
        self._tasks = set()

    def __enter__(self):
        async def listen():
            return await asyncio.start_unix_server(self._serve, self.path)
        self._server = loop.call(listen())
        return self

    def __exit__(self, *exc):
        async def shut():
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
        loop.call(shut())

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        far_reader, far_writer = await asyncio.open_unix_connection(self.target)
        ways = [asyncio.ensure_future(self._pass(reader, far_writer, lambda: 0)),
                asyncio.ensure_future(self._pass(far_reader, writer, lambda: self.delay))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            writer.close()
            far_writer.close()

    async def _pass(self, reader, writer, delay):
        while data := await reader.read(65536):
            asyncio.get_running_loop().call_later(delay(), self._write, writer, data)

    @staticmethod
    def _write(writer, data):
        if not writer.is_closing():
            writer.write(data)
