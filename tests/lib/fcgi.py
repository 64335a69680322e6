# SPDX-License-Identifier: MIT
"""A FastCGI client (role responder) and a plain CGI runner: a program without a web
server in front, and what it says byte for byte."""

import os
import socket
import struct
import subprocess

from .wait import DEADLINE

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
RESPONDER = 1


def record(kind, content=b"", request_id=1):
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content), 0) + content


def stream_records(kind, data):
    """The data cut into records, and the empty one that ends it."""
    cut = [record(kind, data[at:at + 65535]) for at in range(0, len(data), 65535)]
    return b"".join(cut) + record(kind)


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack(">I", n | 0x80000000)
    name, value = name.encode(), value.encode("latin-1")
    return length(len(name)) + length(len(value)) + name + value


def cgi_variables(method, target, headers=None, body=b"", **extra):
    """The variables of the CGI specification as web servers set them."""
    path, _, query = target.partition("?")
    variables = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "test",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": method,
        "REQUEST_URI": target,
        "SCRIPT_NAME": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
    }
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        variables[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
    variables.update(extra)
    return variables


class CgiResponse:
    """What a CGI program prints: header lines, an empty line, the body."""

    def __init__(self, output, stderr):
        self.raw = output
        self.stderr = stderr
        head, self.separator, self.body = output.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1))
                        for line in lines if ":" in line]
        status = self.header("Status")
        self.status = int(status.split()[0]) if status else 200

    def header(self, name):
        found = [v for n, v in self.headers if n.lower() == name.lower()]
        return found[0] if found else None

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        import json
        return json.loads(self.body)


class Fcgi:
    """One request over a Unix socket; the caller may stop half-way."""

    def __init__(self, path, timeout=DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))

    def begin(self, keep=False):
        self.sock.sendall(record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, keep)))

    def params(self, variables):
        data = b"".join(pair(name, value) for name, value in variables.items())
        self.sock.sendall(stream_records(PARAMS, data))

    def stdin(self, data):
        self.sock.sendall(stream_records(STDIN, data))

    def abort(self):
        self.sock.sendall(record(ABORT_REQUEST))

    def response(self):
        """Reads to the end of the request, or of the connection."""
        out, err = bytearray(), bytearray()
        while (head := self._exactly(8)) is not None:
            _, kind, _, length, padding = struct.unpack(">BBHHBx", head)
            content = (self._exactly(length + padding) or b"")[:length]
            if kind == STDOUT:
                out += content
            elif kind == STDERR:
                err += content
            elif kind == END_REQUEST:
                break
        return CgiResponse(bytes(out), bytes(err))

    def _exactly(self, n):
        got = bytearray()
        while len(got) < n:
            part = self.sock.recv(n - len(got))
            if not part:
                return None
            got += part
        return bytes(got)

    def close(self):
        self.sock.close()


def request(path, method, target, headers=None, body=b"", **extra):
    """A whole request to the FastCGI program that listens on the Unix socket `path`."""
    one = Fcgi(path)
    try:
        one.begin()
        one.params(cgi_variables(method, target, headers, body, **extra))
        one.stdin(body)
        return one.response()
    finally:
        one.close()


def run_cgi(program, method, target, headers=None, body=b"", environment=None, **extra):
    """Runs a program once as plain CGI, as a web server would."""
    variables = {"PATH": os.environ["PATH"], **(environment or {}),
                 **cgi_variables(method, target, headers, body, **extra)}
    done = subprocess.run([program], input=body, env=variables, capture_output=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0, f"{program} ended with {done.returncode}: {done.stderr!r}"
    return CgiResponse(done.stdout, done.stderr)
