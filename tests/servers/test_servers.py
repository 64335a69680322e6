# SPDX-License-Identifier: MIT
"""One table of cases, behind every web server, each with its file of conf-examples/
as it stands and run by a user who is not root.

What a server cannot do is a Quirk at the top, with what happens instead; the reasons are
in docs/web-servers.md.
"""

import asyncio
import gzip
import re
import time
import urllib.parse

import pytest

from lib.foreign_page import run_in_page
from lib.client import Broken, Response
from lib.gateway import AUTH_KEY, Gateway
from lib.provider import Provider, Stream, answer, echo, sse
from lib.servers import SERVERS
from lib.wait import until

MIB = 1024 * 1024



class Quirk(frozenset):
    """The servers that do a thing in their own way, and what it is: it stands below the
    table."""

    def __new__(cls, what, *names):
        self = super().__new__(cls, names)
        self.what = what
        return self


APACHE = ("apache-proxy", "apache-fcgid")
TELLS_LATE = Quirk("does not tell that a client left: the next heartbeats find out",
                   *APACHE, "caddy")
OWN_400_IS_TEXT = Quirk("its own 400, before any configuration is asked, is plain text",
                        "caddy")
TAKES_ANY_TARGET = Quirk("takes a target that is no URL (%zz) for the page's", "lighttpd")
SHORT_RESPONSE_HEADERS = Quirk("answers 500 when one response header is longer than 8 KB: the "
                               "size is compiled in", *APACHE)
NO_UNDERSCORES = Quirk("drops request headers with an underscore, as servers may", *APACHE)
HEADERS_WAIT_FOR_A_BODY = Quirk("holds an answer's headers back until there is a byte of its "
                                "body", *APACHE)
ENCODES = Quirk("encodes what no URL should have (RFC 3986)", "caddy")
TOO_LARGE_IS_500 = Quirk("refuses a body that is much too large with 500", "apache-fcgid")
NOTHING_IS_COMPRESSED = Quirk("says also of a script that is not there that it is compressed",
                              "lighttpd")
KNOWS_NO_QUALITY = Quirk("compresses also for who refuses it with a quality of 0", *APACHE)
NEVER_CUTS = Quirk("has no time-out for silence", "caddy")

# The columns of the table: a web server, and the stack that it is on.
COLUMNS = [(name, "sqlite") for name in SERVERS]
COLUMNS += [(name, "mariadb") for name in ("apache-fcgid", "caddy")]


def every_column():
    names = [name if stack == "sqlite" else f"{name} on {stack}" for name, stack in COLUMNS]
    return [pytest.param(column, id=name, marks=pytest.mark.xdist_group(name))
            for column, name in zip(COLUMNS, names)]


def gateway_of(column, **options):
    name, stack = column
    return Gateway(server=name, stack=stack, unprivileged=True, MAX_CONCURRENT_REQUESTS=1000,
                   **options)


@pytest.fixture(scope="module", params=every_column())
def gateway(request):
    one = gateway_of(request.param)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def name(gateway):
    return gateway.server.name


@pytest.fixture
def group(make_group):
    return make_group(keys=3)


@pytest.fixture
def has(request, record_property):
    """has(QUIRK): whether the server has it, which is then said below the table."""
    def noted(quirk):
        one = request.getfixturevalue("impatient" if "impatient" in request.fixturenames
                                      else "gateway")
        if one.server.name in quirk:
            record_property("quirk", quirk.what)
        return one.server.name in quirk
    return noted


# --- streams ---


def test_events_arrive_as_they_are_sent(gateway, provider, group):
    stream = provider.on(Stream())
    stream.send(sse("first"))
    with gateway.open(group) as got:
        events = got.events()
        assert next(events)[0] == sse("first")
        for i in range(5):
            sent = time.monotonic()
            stream.send(sse(f"event {i}"))
            event, at = next(events)
            assert event == sse(f"event {i}")
            assert at - sent < 0.5  # a sanitizer build; buffering would hold all back
        assert got.header("content-type") == "text/event-stream"
        stream.end()
        assert list(events) == []


def test_headers_come_before_the_first_event(gateway, provider, group, has):
    stream = provider.on(Stream(headers=[("X-Mine", "yes")]))
    waits = has(HEADERS_WAIT_FOR_A_BODY)
    gateway.client.timeout = 2 if waits else 20
    try:
        with gateway.open(group) as got:
            assert not waits
            assert got.header("x-mine") == "yes"
    except TimeoutError:
        assert waits
    finally:
        gateway.client.timeout = 20
        stream.end()


def leave_while_silent(gateway, provider, group, how):
    stream = provider.on(Stream())
    stream.send(sse("first"))
    got = gateway.open(group)
    assert next(got.events())[0] == sse("first")
    left = time.monotonic()
    getattr(got, how)()
    return stream.wait_gone() - left


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_while_the_provider_is_silent(gateway, provider, group, settings, has,
                                                      how):
    if not has(TELLS_LATE):
        settings(stream_heartbeat_seconds=15)
        assert leave_while_silent(gateway, provider, group, how) < 2
    else:
        settings(stream_heartbeat_seconds=1)
        assert leave_while_silent(gateway, provider, group, how) < 8
    row = group.logs(1)[-1]
    assert row["status_code"] == 499


class Together:
    """Event streams whose second event comes when `count` of them are open."""

    def __init__(self, count):
        self.count = count
        self.open = 0
        self.all_open = asyncio.Event()

    async def __call__(self, request):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        await request.wire.write(head + sse("first"))
        self.open += 1
        if self.open == self.count:
            self.all_open.set()
        await self.all_open.wait()
        await request.wire.write(sse("second"))
        request.wire.transport.close()


@pytest.mark.timeout(150)
def test_200_streams_at_once(gateway, provider, group):
    provider.on(Together(200))
    path, body = gateway.body_for(group)
    gateway.client.timeout = 90
    socks = [gateway.client.send("POST", group.path(path), gateway.headers(), json=body)
             for _ in range(200)]
    gateway.client.timeout = 20
    for sock in socks:
        with Response(sock, "POST") as got:
            assert got.status == 200
            assert [e for e, _ in got.events() if not e.startswith(b":")] == [sse("first"),
                                                                               sse("second")]


@pytest.fixture(params=every_column())
def impatient(request):
    """A stack whose server waits 3 s where the default is a minute or more."""
    one = gateway_of(request.param, workers=1)
    one.web_values["GPT_LOAD_WRITE_IDLE"] = "3"
    one.start()
    yield one
    one.stop(failed=getattr(request.node, "failed", True))


def test_silence_beyond_the_time_out_of_the_server(impatient, provider, has):
    """Heartbeats carry a stream over it; without them the server cuts, so that the
    value is the one in force, and the row says who did it."""
    group = impatient.api.create_group(provider.origin, keys=["sk-a"])
    impatient.api.set(stream_heartbeat_seconds=1)
    stream = provider.on(Stream(), times=1)
    stream.send(sse("before"))
    with impatient.open(group) as got:
        events = got.events()
        assert next(events)[0] == sse("before")
        begun = time.monotonic()
        comments = 0
        while time.monotonic() - begun < 6:
            assert next(events)[0].startswith(b":")
            comments += 1
        assert comments >= 4
        stream.send(sse("after"))
        stream.end()
        assert [e for e, _ in events if not e.startswith(b":")] == [sse("after")]
    impatient.api.set(stream_heartbeat_seconds=0)
    stream = provider.on(Stream(), times=1)
    stream.send(sse("before"))
    with impatient.open(group) as got:
        events = got.events()
        assert next(events)[0] == sse("before")
        begun = time.monotonic()
        got.settimeout(7 if has(NEVER_CUTS) else 20)
        # mod_fcgid's end is an error page within the stream, the others' a cut.
        with pytest.raises((OSError, Broken, AssertionError)):
            next(events)
        waited = time.monotonic() - begun
    assert 2 <= waited <= 12


# --- requests ---


@pytest.mark.timeout(150)
def test_a_body_of_64_mb_goes_and_comes_whole(gateway, provider, group):
    provider.on(echo())
    body = bytes(range(256)) * (64 * MIB // 256)
    gateway.client.timeout = 90
    try:
        got = gateway.ask(group, body=body, headers={"Content-Type": "application/x-test"})
    finally:
        gateway.client.timeout = 20
    assert got.status == 200
    assert provider.last.body == body
    assert got.body == body


@pytest.mark.parametrize("size", [128.5, 130], ids=["a bit", "more"])
def test_a_body_that_is_too_large(gateway, provider, group, has, size):
    got = gateway.ask(group, body=bytes(int(size * MIB)), headers={"Content-Type": "x/y"})
    assert got.status == (500 if size > 129 and has(TOO_LARGE_IS_500) else 413)
    assert got.json()["code"]
    assert provider.requests == []


def test_a_chunked_upload(gateway, provider, group):
    parts = [b"a" * 10, b"b" * 70000, b"c"]
    got = gateway.ask(group, chunks=parts, headers={"Content-Type": "application/x-test"})
    assert got.status == 200
    assert provider.last.body == b"".join(parts)


@pytest.mark.parametrize("rest", [
    "/v1beta/models/gemini-pro:generateContent",
    "/v1/a%2Fb/a%20b+c/a%252Fb",
    "/v1//x//y/",
    "/v1/%E4%BD%A0/%3A/%5B%5D;=@,$~'()*!",
    "/v1/x?a=%2F+b%20c&d=%E4&e=x:y/z?w&f=a%0Ab",
    "/v1/x?",
])
def test_path_and_query_go_up_as_they_came(gateway, provider, group, rest):
    assert gateway.ask(group, rest, method="GET").status == 200
    assert provider.last.target in (rest, rest.removesuffix("?"))


def test_bytes_of_a_path_that_no_url_should_have(gateway, provider, group, has):
    assert gateway.ask(group, '/v1/a|b^c"d', method="GET").status == 200
    assert provider.last.target == ("/v1/a%7Cb%5Ec%22d" if has(ENCODES) else '/v1/a|b^c"d')


@pytest.mark.parametrize("place", [
    (f"?key={AUTH_KEY}", {}),
    ("", {"Authorization": f"Bearer {AUTH_KEY}"}),
    ("", {"X-Api-Key": AUTH_KEY}),
    ("", {"X-Goog-Api-Key": AUTH_KEY}),
    ("", {"Api-Key": AUTH_KEY}),
], ids=["query", "bearer", "x-api-key", "x-goog-api-key", "api-key"])
def test_the_client_s_key_is_found_in_every_place(gateway, provider, group, place):
    query, headers = place
    got = gateway.client.request("GET", group.path("/v1/x") + query, headers)
    assert got.status == 200
    sent = provider.last
    assert AUTH_KEY.encode() not in sent.line + b"\n".join(sent.header_lines)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "QUERY"])
def test_every_method_passes(gateway, provider, group, method):
    assert gateway.ask(group, "/v1/x", method=method).status == 200
    assert provider.last.method == method


def test_headers_pass_both_ways(gateway, provider, group, has):
    long = "r" * 7000
    provider.on(answer(json={}, headers=[("X-Long", long), ("Set-Cookie", "a=1"),
                                         ("Set-Cookie", "b=2"), ("X-Request-Id", "abc")]))
    many = {f"X-Number-{i}": "v" * 300 for i in range(50)}
    got = gateway.ask(group, headers={**many, "X-Long": "q" * 7000, "anthropic-beta": "a,b",
                                      "x_under": "1"})
    assert got.status == 200
    assert got.header("x-long") == long
    assert got.header("x-request-id") == "abc"
    assert got.header_all("set-cookie") == ["a=1", "b=2"]
    assert got.header("status") is None
    sent = provider.last
    assert sent.header("x-long") == "q" * 7000
    assert sent.header("anthropic-beta") == "a,b"
    assert sent.header("x-number-49") == "v" * 300
    assert (sent.header("x-under") is None) == has(NO_UNDERSCORES)


def test_a_response_header_of_20_kb(gateway, provider, group, has):
    provider.on(answer(json={}, headers=[("X-Long", "r" * 20000)]))
    got = gateway.ask(group)
    if has(SHORT_RESPONSE_HEADERS):
        assert got.status == 500
    else:
        assert (got.status, got.header("x-long")) == (200, "r" * 20000)


# --- answers ---


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 418, 422, 500, 502, 503, 529])
def test_errors_of_the_provider_keep_their_body(gateway, provider, group, status):
    provider.on(answer(status, json={"error": {"message": f"mine {status}"}}))
    got = gateway.ask(group)
    assert got.status == status
    assert got.json() == {"error": {"message": f"mine {status}"}}


def test_errors_of_the_gateway_keep_their_body(gateway, group):
    got = gateway.client.request("POST", "/proxy/no-such-group/v1/x", gateway.headers())
    assert (got.status, got.json()["code"]) == (404, "NOT_FOUND")
    got = gateway.ask(group, key="wrong")
    assert (got.status, got.json()["code"]) == (401, "UNAUTHORIZED")
    got = gateway.api.raw("GET", "/api/groups/999999/stats")
    assert (got.status, got.json()["code"]) == (404, "NOT_FOUND")


def test_what_the_server_refuses_itself_is_json(gateway, has):
    got = gateway.client.request("GET", "/%zz")
    if has(TAKES_ANY_TARGET):
        assert got.status == 200
    elif has(OWN_400_IS_TEXT):
        assert (got.status, got.text) == (400, "400 Bad Request")
    else:
        assert (got.status, got.json()["code"]) == (400, "BAD_REQUEST")
    got = gateway.client.request("GET", "/assets/no-such.js")
    assert (got.status, got.json()["code"]) == (404, "NOT_FOUND")


def test_head_204_and_304(gateway, provider, group):
    provider.on(answer(json={"a": 1}), method="HEAD")
    got = gateway.ask(group, "/v1/models", method="HEAD")
    assert got.status == 200
    for status in (204, 304):
        provider.on(answer(status, headers=[("X-Mine", "yes")]))
        got = gateway.ask(group, "/v1/x", method="GET")
        assert (got.status, got.body, got.header("x-mine")) == (status, b"", "yes")


@pytest.mark.parametrize("path", ["/proxy/g/v1/chat/completions", "/api/groups"])
def test_a_preflight_needs_no_key(gateway, path):
    got = gateway.client.request("OPTIONS", path, {
        "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-api-key"})
    assert got.status == 204
    assert got.header("access-control-allow-origin") in ("*", "https://app.example")
    assert "POST" in got.header("access-control-allow-methods")
    assert "authorization" in got.header("access-control-allow-headers").lower()


CROSS_ORIGIN = """
const headers = {"Authorization": "Bearer %(key)s", "Content-Type": "application/json"};
const request = {method: "POST", headers, body: "{}"};
const stream = await fetch("%(gateway)s%(path)s", request);
const events = [], reader = stream.body.getReader(), decoder = new TextDecoder();
for (let part = await reader.read(); !part.done; part = await reader.read())
    events.push(decoder.decode(part.value));
const refused = await fetch("%(gateway)s/proxy/no-such-group/v1/x", request);
const groups = await fetch("%(gateway)s/api/groups", {headers});
return {origin: location.origin, status: stream.status, events,
        refused: [refused.status, (await refused.json()).code],
        groups: [groups.status, (await groups.json()).code]};
"""


def test_a_page_of_another_origin(gateway, provider, group):
    """In a real browser, which asks for permission first."""
    stream = provider.on(Stream())
    stream.send(sse("first"))
    stream.send(sse("second"))
    stream.end()
    path, _ = gateway.body_for(group)
    said = run_in_page(CROSS_ORIGIN % {"key": AUTH_KEY, "path": group.path(path),
                                       "gateway": f"http://127.0.0.1:{gateway.port}"})
    assert said["origin"] != f"http://127.0.0.1:{gateway.port}"
    assert (said["status"], "".join(said["events"]).encode()) == (200,
                                                                  sse("first") + sse("second"))
    assert said["refused"] == [404, "NOT_FOUND"]
    assert said["groups"] == [200, 0]


# --- the page and the management API ---


def test_the_management_api(gateway):
    health = gateway.client.request("GET", "/health")
    assert (health.status, health.json()["status"]) == (200, "healthy")
    assert gateway.client.request("GET", "/metrics").status == 401
    metrics = gateway.api.raw("GET", "/metrics")
    assert metrics.status == 200 and "# TYPE" in metrics.text
    assert gateway.client.request("GET", "/api/groups").status == 401
    group = gateway.api.create_group("http://127.0.0.1:1", keys=["sk-a"])
    group.update(description="日本")
    assert group.data["description"] == "日本"
    group.delete()


# Nothing from elsewhere, no script or style within the page's text.
POLICY = ("default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
          "object-src 'none'")


@pytest.mark.parametrize("path", ["/", "/index.html", "/keys", "/groups/1?key=x"])
def test_the_page(gateway, path):
    got = gateway.client.request("GET", path)
    assert got.status == 200
    assert got.header("content-type").replace(" ", "").lower() == "text/html;charset=utf-8"
    assert "<!DOCTYPE html>" in got.text
    assert got.header("content-security-policy") == POLICY
    assert got.header("x-content-type-options") == "nosniff"
    assert got.header("cache-control") == "no-cache"


def test_what_the_page_is_made_of_is_kept_by_browsers(gateway):
    """Each file that index.html names: typed, under the policy, and never asked for again."""
    index = gateway.client.request("GET", "/").text
    names = re.findall(r'(?:src|href)="(/assets/[^"]+)"', index)
    assert any(name.endswith(".js") for name in names)
    assert any(name.endswith(".css") for name in names)
    for name in names:
        got = gateway.client.request("GET", name)
        kind = "text/javascript" if name.endswith(".js") else "text/css"
        assert (got.status, got.header("content-type").split(";")[0]) == (200, kind)
        assert got.header("cache-control") == "public, max-age=31536000, immutable"
        assert got.header("content-security-policy") == POLICY
        assert got.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("accepts", ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8"])
def test_scripts_are_compressed_for_who_takes_it(gateway, accepts):
    plain, packed = scripts(gateway, None), scripts(gateway, accepts)
    assert plain.keys() == packed.keys()
    for name, got in packed.items():
        assert got.header("content-encoding") == "gzip", name
        assert gzip.decompress(got.body) == plain[name].body
        assert "accept-encoding" in (got.header("vary") or "").lower()
        for header in ("content-type", "cache-control", "content-security-policy",
                       "x-content-type-options"):
            assert got.header_all(header) == plain[name].header_all(header)


@pytest.mark.parametrize("accepts", [None, "identity", "br, zstd", "gzip;q=0", "x-gzipped"])
def test_scripts_are_plain_for_who_takes_nothing_else(gateway, accepts, has):
    if accepts == "gzip;q=0" and has(KNOWS_NO_QUALITY):
        return
    for name, got in scripts(gateway, accepts).items():
        assert got.header("content-encoding") is None, name
        # A cache between must not give one's file to the other.
        assert "accept-encoding" in (got.header("vary") or "").lower()
        assert len(got.body) == int(got.header("content-length"))


@pytest.mark.parametrize("accepts", ["gzip", "identity"])
def test_a_script_that_is_not_there(gateway, accepts, has):
    got = gateway.client.request("GET", "/assets/none.js", {"Accept-Encoding": accepts})
    assert (got.status, got.json()["code"]) == (404, "NOT_FOUND")
    if accepts == "identity" or not has(NOTHING_IS_COMPRESSED):
        assert got.header("content-encoding") is None


def scripts(gateway, accepts):
    """The answers for what index.html names, less what is too small to gain by it."""
    index = gateway.client.request("GET", "/").text
    names = [name for name in re.findall(r'(?:src|href)="(/assets/[^"]+)"', index)
             if len(gateway.client.request("GET", name).body) > 1000]
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    heads = {} if accepts is None else {"Accept-Encoding": accepts}
    return {name: gateway.client.request("GET", name, heads) for name in names}


def test_nothing_but_the_page_is_compressed(gateway, provider, group):
    """Packing would hold events back, and what a provider sends is not ours to change."""
    takes = {**gateway.headers(), "Accept-Encoding": "gzip"}
    large = {"text": "the same again " * 5000}
    provider.on(answer(json=large))
    got = gateway.client.request("POST", group.path("/v1/chat/completions"), takes, json={})
    assert got.header("content-encoding") is None and got.json() == large
    stream = provider.on(Stream())
    stream.send(sse("the same again " * 500))
    stream.end()
    with gateway.client.open("POST", group.path("/v1/chat/completions"), takes,
                             json={"stream": True}) as got:
        assert got.header("content-encoding") is None
        assert len(list(got.events())) == 1
    got = gateway.client.request("GET", "/api/groups", takes)
    assert got.header("content-encoding") is None and got.json()["code"] == 0


def test_the_page_s_headers_are_on_nothing_else(gateway, provider, group):
    assert gateway.ask(group).header("content-security-policy") is None


@pytest.mark.parametrize("path", [
    "/.env", "/data/auth_key", "/auth_key", "/gpt-load.db", "/run/responder.sock",
    "/../data/auth_key", "/..%2fdata/auth_key", "/%2e%2e/data/auth_key",
    "/assets/../../data/gpt-load.db", "/assets/..%2f..%2fdata%2fgpt-load.db",
    "/proxy/../../data/auth_key", "/api/../data/auth_key", "/conf-examples/lighttpd.conf",
    "/start.sh", "/api.fcgi", "/gpt-load.fcgi", "/gpt-load-error/../nginx.conf",
])
def test_no_source_or_state_is_reachable(gateway, path):
    got = gateway.client.request("GET", path)
    if got.status == 200:
        assert got.body.startswith(b"<!DOCTYPE html>"), "it is the page"
    else:
        assert 400 <= got.status < 500
    assert AUTH_KEY.encode() not in got.body


# --- secrets ---

SECRET = "canary/Client+Key=0123456789"


def test_no_log_holds_a_query(gateway, provider, group, name):
    forms = {SECRET, urllib.parse.quote(SECRET, safe=""), urllib.parse.quote(SECRET)}
    quoted = urllib.parse.quote(SECRET, safe="")
    with Provider() as dead:
        dead.stop()
        broken = gateway.api.create_group(dead.origin, keys=["sk-b"])
    for target in (f"/proxy/none/x?key={quoted}", group.path(f"/v1/x?key={quoted}"),
                   broken.path(f"/v1/x?key={quoted}"), f"/api/groups?key={quoted}",
                   f"/%zz?key={quoted}", f"/proxy/%00?key={quoted}", f"/none.html?key={quoted}",
                   f"/proxy/{'x' * 70000}?key={quoted}", f"/assets/none.js?key={quoted}"):
        for method in ("GET", "POST", "BREW"):
            try:
                gateway.client.request(method, target, {"X-Api-Key": SECRET,
                                                        "Referer": f"http://x/?key={quoted}"})
            except (OSError, Broken):
                pass
    # And when nothing is behind the web server.
    hidden = [path for path in (gateway.data / "run").glob("*.sock") if path.exists()]
    for path in hidden:
        path.rename(path.with_suffix(".away"))
    got = gateway.client.request("GET", group.path(f"/v1/x?key={quoted}"))
    for path in hidden:
        path.with_suffix(".away").rename(path)
    if name != "apache-fcgid":  # which has processes of its own
        assert got.status in (500, 502, 503)
        assert got.json()["code"]
    until(lambda: gateway.health().status == 200, "it serves again")
    text = gateway.log_text()
    for form in forms:
        assert form not in text
