# SPDX-License-Identifier: MIT
"""The canary: no upstream key, client key, AUTH_KEY or ENCRYPTION_KEY in any log, the
web server's included, in any error, any text column, or any process's arguments."""

import pathlib
import urllib.parse
import zlib

import pytest

from lib import vendors
from lib.client import Broken
from lib.provider import Provider, answer, credential, hang_up
from lib.wait import until

# Each has characters that look otherwise in a URL.
AUTH = "canary/Auth+Key=0123456789"
ENCRYPTION = "canary/Encryption+Key=01234567"
CLIENT = "canary/Client+Key=0123456789"
UPSTREAM = ["canary/Upstream+Key=%d-0123456789" % i for i in range(3)]
CANARIES = [AUTH, ENCRYPTION, CLIENT, *UPSTREAM]


def forms(secret):
    """What a secret looks like as it is, in a URL, in JSON."""
    return {secret, urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret),
            secret.replace("/", "\\/")}


def found(text, where):
    return [(secret, where) for secret in CANARIES if any(form in text for form in forms(secret))]


class echoes_its_key:
    """An error that names the key it was sent, as OpenAI's does."""

    def __init__(self, status, encoding=None):
        self.status = status
        self.encoding = encoding

    async def __call__(self, request):
        key = credential(request)
        await answer(self.status, json={"error": {"message": f"Incorrect API key: {key}."}},
                     headers=[("X-Key", key)], encoding=self.encoding)(request)


def readable(got):
    """What a client makes of an answer."""
    packed = got.header("content-encoding") in ("gzip", "deflate")
    return (zlib.decompress(got.body, 47) if packed else got.body).decode()


@pytest.fixture
def provoked(start_gateway, provider):
    """A stack that has seen every kind of request and failure with the canaries, and
    what clients were answered."""
    gateway = start_gateway(AUTH_KEY=AUTH, ENCRYPTION_KEY=ENCRYPTION, LOG_LEVEL="debug",
                            LOG_ENABLE_FILE="true", workers=2)
    api = gateway.api
    api.set(proxy_keys=CLIENT, blacklist_threshold=0)
    answers = []

    def ask(group, **rest):
        try:
            got = gateway.ask(group, **rest)
            answers.append(readable(got) + repr(got.headers))
        except (OSError, Broken):
            pass
    odd = [echoes_its_key(401), echoes_its_key(500), echoes_its_key(401, "gzip"), vendors.openai_bad_key(),
           vendors.openai_rate_limit([("Retry-After", "0")]), hang_up(), hang_up(reset=True),
           hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx"),
           answer(json=vendors.CHAT)]
    for channel in vendors.CHANNELS:
        group = api.create_group(provider.origin, channel=channel, keys=UPSTREAM,
                                 config={"enable_request_body_logging": True},
                                 header_rules=[{"key": "X-Also", "value": "${API_KEY}",
                                                "action": "set"}])
        for what in odd:
            provider.on(what)
            ask(group)
            path, misplaced = gateway.body_for(group, model=CLIENT)
            ask(group, key=CLIENT, json=misplaced, headers={"User-Agent": f"app/{CLIENT}"})
            quoted = urllib.parse.quote(CLIENT, safe="")
            ask(group, path=f"{path}?key={quoted}", headers={"Authorization": None})
            ask(group, key=CLIENT)
    with Provider() as dead:
        dead.stop()
        for url in (dead.origin, dead.origin.replace("http", "https"), "http://no.invalid"):
            ask(api.create_group(url, channel="gemini", keys=UPSTREAM[:1]))
    quoted = urllib.parse.quote(AUTH, safe="")
    for target in (f"/proxy/none/x?key={quoted}", f"/api/groups?key={quoted}",
                   f"/api/none?key={quoted}", f"/%zz?key={quoted}", f"/proxy/%00?key={quoted}",
                   f"/proxy/a/../b?key={quoted}", f"/index.html?key={quoted}",
                   f"/proxy/{'x' * 9000}?key={quoted}"):
        for method in ("GET", "POST"):
            got = gateway.client.request(method, target)
            if not target.startswith("/api/groups"):
                answers.append(got.text)
    answers.append(gateway.api.raw("PUT", "/api/settings", {"proxy_keys": 5}).text)
    return gateway, answers


def test_no_secret_anywhere(provoked):
    gateway, answers = provoked
    leaks = []
    for pid in [gateway.master.pid, gateway.web.pid, *gateway.workers()]:
        text = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        leaks += found(text, f"arguments of {pid}")
    for text in answers:
        leaks += found(text, f"an answer: {text[:300]}")
    gateway.api.logs()  # flushes
    until(lambda: gateway.query("SELECT count(*) FROM request_logs")[0][0] > 50, "rows")
    gateway.stop_web()
    gateway.stop_master()
    for file in gateway.log_files():
        leaks += found(file.read_text(errors="replace"), file)
    leaks += columns(gateway)
    assert not leaks


# Where the original keeps a secret readable, and ours must for its sake.
KEPT_READABLE = {("system_settings", "setting_value"), ("groups", "proxy_keys")}


def columns(gateway):
    """Secrets in the columns of the database."""
    leaks = []
    for table in gateway.database.tables():
        for row in gateway.database.rows(table):
            for column, value in row.items():
                if (table, column) not in KEPT_READABLE:
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    leaks += found(text, f"{table}.{column}: {text[:200]}")
    return leaks


def test_the_pool_and_the_spool_hold_no_key_in_clear(provoked):
    gateway, _ = provoked
    pool = gateway.pool_contents()
    assert b"canary" not in pool and len(pool) > 100
    for file in (gateway.data / "spool").rglob("*"):
        if file.is_file():
            text = file.read_bytes()
            assert not [c for c in CANARIES if c.encode() in text], file


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("retries", [0, 1], ids=["at once", "kept for the end"])
def test_a_key_in_a_compressed_error_went_to_the_client(gateway, provider, make_group, encoding,
                                                        retries):
    group = make_group(keys=1, config={"max_retries": retries})
    provider.on(echoes_its_key(401, encoding), times=1)
    provider.on(hang_up(), when=lambda r: len(provider.requests) > 0)
    got = gateway.ask(group, headers={"Accept-Encoding": encoding})
    assert group.keys[0] not in readable(got)
    assert (got.status, got.header("content-encoding")) == (401, None)
    assert got.json()["error"]["message"] == "Incorrect API key: [redacted]."


def test_a_compressed_error_without_the_key_passes_as_it_came(gateway, provider, make_group):
    group = make_group(keys=1, config={"max_retries": 0})
    error = {"error": {"message": "Not allowed: sk-another-0123456789"}}
    whole = provider.on(answer(403, json=error, encoding="gzip"))
    got = gateway.ask(group, headers={"Accept-Encoding": "gzip"})
    assert (got.status, got.body) == (403, whole.body)
    assert got.header("content-encoding") == "gzip"
