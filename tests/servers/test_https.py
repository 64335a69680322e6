# SPDX-License-Identifier: MIT
"""HTTPS as the files and docs/web-servers.md say it, and with it HTTP/2: events arrive
as they are sent."""

import copy
import re
import shutil
import subprocess

import pytest

from lib.gateway import Gateway
from lib.ports import free_port
from lib.provider import Stream, sse
from lib.servers import SERVERS

EXAMPLE = "/etc/letsencrypt/live/example.org/"


def nginx(text):
    return re.sub(r"#(listen \$\{GPT_LOAD_BIND\}:443|ssl_)", r"\1", text)


def apache(text):
    """Takes the comment signs off the last block."""
    before, mark, block = text.partition("# --- HTTPS ---")
    return before + mark + re.sub(r"^#(?! )", "", block, flags=re.MULTILINE)


def lighttpd(text):
    return apache(text.replace('"mod_fastcgi" )', '"mod_fastcgi", "mod_openssl" )'))


def caddy(text):
    """Beside the site of the file, which the test's own requests use. No authority
    gives a certificate here, so it is named."""
    site = text[text.index("http://:{$PORT} {") + len("http://:{$PORT} {"):]
    text = text.replace("auto_https off", "auto_https disable_redirects")
    return text + f"\nhttps://localhost:443 {{\n\ttls {EXAMPLE}fullchain.pem " \
                  f"{EXAMPLE}privkey.pem\n{site}"


EDITS = {"nginx": nginx, "apache-proxy": apache, "apache-fcgid": apache, "lighttpd": lighttpd,
         "caddy": caddy}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name))
                                  for name in SERVERS])
def test_events_over_http_2(reachable, certificates, provider, name):
    _, certificate, key = certificates
    port = free_port()
    for file, to in ((certificate, "fullchain.pem"), (key, "privkey.pem")):
        shutil.copy(file, reachable / to)
        (reachable / to).chmod(0o644)
    text = EDITS[name](SERVERS[name].file.read_text())
    text = text.replace(EXAMPLE, f"{reachable}/").replace(":443", f":{port}")
    gateway = Gateway(server=name, unprivileged=True)
    gateway.server = copy.copy(gateway.server)
    gateway.server.file = reachable / gateway.server.file.name
    gateway.server.file.write_text(text)
    with gateway:
        group = gateway.api.create_group(provider.origin, keys=["sk-a"])
        stream = provider.on(Stream())
        stream.send(sse("one"))
        with subprocess.Popen(
                ["curl", "-sSkN", "--http2", "--max-time", "30", "-w", "%{http_version}\n",
                 "-H", f"Authorization: Bearer {gateway.api.auth_key}", "-d", "{}",
                 f"https://localhost:{port}{group.path('/v1/chat/completions')}"],
                stdout=subprocess.PIPE, env=gateway.environment) as curl:
            for event in (sse("one"), sse("two")):
                assert curl.stdout.readline() + curl.stdout.readline() == event
                stream.send(sse("two"))  # after the first; once more, unread
            stream.end()
            assert curl.stdout.read().splitlines()[-1] == b"2"
