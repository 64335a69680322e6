# SPDX-License-Identifier: MIT
"""Shared hosting, end to end: `make install` into a home, `make install-htaccess`, and
a real Apache that allows no more than a host does; as plain CGI and under mod_fcgid, on
SQLite, and on the host's MariaDB with Apache's suEXEC between (where root runs the tests).

What mod_fcgid does with the defaults of a host, which .htaccess cannot change, is
asserted as docs/install.md says it.
"""

import gzip
import json
import os
import pathlib
import pwd
import re
import time

import pytest

from lib.db import Database
from lib.gateway import AUTH_KEY, COMMAND
from lib.hosting import Host
from lib.provider import Stream, answer, echo, sse
from lib.stacks import Stack
from lib.wait import until

# (handler, what the state is in)
KINDS = [("cgi", "sqlite"), ("fcgid", "sqlite"), ("cgi", "mariadb"), ("fcgid", "mariadb")]
HEADERS = {"Authorization": f"Bearer {AUTH_KEY}", "Content-Type": "application/json"}


def kinds(*states):
    return [pytest.param(kind, id="-".join(kind),
                         marks=pytest.mark.xdist_group("hosting-" + "-".join(kind)))
            for kind in KINDS if kind[1] in states]


@pytest.fixture(scope="module", params=kinds("sqlite", "mariadb"))
def host(request):
    handler, state = request.param
    stack = Stack(state)
    mariadb = state == "mariadb"
    one = Host(handler, suexec=mariadb and os.geteuid() == 0,
               dsn=stack.environment.get("DATABASE_DSN"))
    one.said = one.install().stdout
    one.start()
    yield one
    one.stop(failed=request.session.testsfailed > 0)
    stack.end()


@pytest.fixture
def group(host, provider):
    return host.api.create_group(provider.origin, keys=["sk-upstream-1", "sk-upstream-2"])


def ask(host, group, rest="/v1/chat/completions", method="POST", headers=None, **more):
    heads = HEADERS if headers is None else headers
    return host.client.request(method, "/ai" + group.path(rest), heads, **more)


def stream(host, group):
    return host.client.open("POST", "/ai" + group.path("/v1/chat/completions"), HEADERS,
                            json={"stream": True})


def test_a_request_and_its_row(host, provider, group):
    provider.on(answer(201, json={"a": 1}, headers=[("Set-Cookie", "a=1"), ("X-Mine", "yes")]))
    got = ask(host, group, json={"model": "m"})
    assert (got.status, got.json(), got.header("x-mine")) == (201, {"a": 1}, "yes")
    assert provider.last.body == b'{"model": "m"}'
    assert provider.last.header("authorization") == "Bearer sk-upstream-1"
    host.cron(host.said)
    (row,) = group.logs(1)
    assert (row["status_code"], row["is_success"]) == (201, True)
    assert group.stats()["key_stats"]["total_keys"] == 2


def test_the_state_is_where_the_file_says(host, group):
    """All of it the user's own, whoever Apache runs as."""
    assert ask(host, group, json={}).status == 200
    host.cron(host.said)
    data = host.prefix / "var/lib/gpt-load"
    assert (data / "gpt-load.db").exists() == (host.dsn is None)
    database = Database(host.dsn or data / "gpt-load.db", "Asia/Shanghai")
    rows = database.query('SELECT "status_code" FROM "request_logs" WHERE "group_name" = ?',
                          group.name)
    assert rows == [(200,)]
    owner = host.home.stat().st_uid
    assert {path.stat().st_uid for path in [data, *data.rglob("*")]} == {owner}
    servers = {pathlib.Path(f"/proc/{pid}").stat().st_uid for pid in host.children()
               if b"apache2" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert servers - {0} == ({pwd.getpwnam("www-data").pw_uid} if host.suexec else {owner})


def test_keys_take_turns_over_processes(host, provider, group):
    for _ in range(4):
        assert ask(host, group, json={}).status == 200
    used = [request.header("authorization")[-1] for request in provider.requests]
    assert used == ["1", "2", "1", "2"]


@pytest.mark.parametrize("rest", ["/v1/a%20b+c/%E4%BD%A0/%3A?q=%2F+x", "/v1//x/", "/v1/x"])
def test_the_path_goes_up_as_it_came(host, provider, group, rest):
    assert ask(host, group, rest, "GET").status == 200
    assert provider.last.target == rest


@pytest.mark.parametrize("place", [
    (f"?key={AUTH_KEY}", {}), ("", {"Authorization": f"Bearer {AUTH_KEY}"}),
    ("", {"X-Api-Key": AUTH_KEY}), ("", {"X-Goog-Api-Key": AUTH_KEY}),
], ids=["query", "bearer", "x-api-key", "x-goog-api-key"])
def test_the_client_s_key_is_found(host, provider, group, place):
    query, headers = place
    assert ask(host, group, "/v1/x" + query, "GET", headers).status == 200
    assert AUTH_KEY.encode() not in provider.last.line + b"".join(provider.last.header_lines)
    assert ask(host, group, "/v1/x", "GET", {}).status == 401


def test_events(host, provider, group):
    """Plain CGI passes them as they come; mod_fcgid at the end."""
    sent = provider.on(Stream())
    sent.send(sse("one"))
    if host.handler == "cgi":
        with stream(host, group) as got:
            assert got.header("content-type") == "text/event-stream"
            events = got.events()
            assert next(events)[0] == sse("one")
            for i in range(5):
                at = time.monotonic()
                sent.send(sse(f"event {i}"))
                event, came = next(events)
                assert event == sse(f"event {i}") and came - at < 0.5
            sent.end()
            assert list(events) == []
        return
    host.client.timeout = 3
    try:
        with pytest.raises(TimeoutError):
            stream(host, group)
    finally:
        host.client.timeout = 20
        sent.end()
    sent = provider.on(Stream())
    sent.send(sse("all"))
    sent.end()
    with stream(host, group) as got:
        assert got.body == sse("all")


def test_a_client_that_leaves(host, provider, group):
    if host.handler == "fcgid":
        return  # what is held back is not missed: see test_events
    host.api.set(stream_heartbeat_seconds=1)
    try:
        sent = provider.on(Stream())
        sent.send(sse("one"))
        with stream(host, group) as got:
            assert next(got.events())[0] == sse("one")
        sent.wait_gone()
    finally:
        host.api.set(stream_heartbeat_seconds=15)
    (row,) = group.logs(1)
    assert row["status_code"] == 499


@pytest.mark.parametrize("size", [100_000, 1_500_000])
def test_bodies(host, provider, group, size):
    """mod_fcgid's default is 128 KB."""
    provider.on(echo())
    body = bytes(range(256)) * (size // 256)
    got = ask(host, group, body=body)
    if host.handler == "fcgid" and size > 131072:
        assert got.status == 500
    else:
        assert got.status == 200 and got.body == body


def test_the_management_api_and_the_page(host):
    health = host.client.request("GET", "/ai/health")
    assert (health.status, health.json()["status"]) == (200, "healthy")
    assert host.client.request("GET", "/ai/api/groups").status == 401
    metrics = host.client.request("GET", "/ai/metrics", HEADERS)
    assert metrics.status == 200 and "# TYPE" in metrics.text
    for path in ("/ai/", "/ai/index.html", "/ai/keys", "/ai/groups/1?x=y"):
        page = host.client.request("GET", path)
        assert page.status == 200 and "<!DOCTYPE html>" in page.text
        assert "default-src 'self'" in page.header("content-security-policy")
    assert host.client.request("GET", "/ai/assets/none.js").status == 404
    got = host.client.request("OPTIONS", "/ai/proxy/g/v1/x", {
        "Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    assert got.status == 204


def test_in_a_user_s_part_of_a_site(host, provider, group):
    """As mod_userdir has it: /~me, elsewhere than the site's folder."""
    host.shell("mkdir -p elsewhere")
    host.make("install-htaccess", DIR=host.home / "elsewhere/ai", HANDLER=host.handler)
    got = host.client.request("POST", "/~me/ai" + group.path("/v1//x%20y?z"), HEADERS, json={})
    assert got.status == 200 and provider.last.target == "/v1//x%20y?z"
    for path, said in (("/~me/ai/health", "healthy"), ("/~me/ai/keys", "<!DOCTYPE html>")):
        got = host.client.request("GET", path)
        assert got.status == 200 and said in got.text
    name = re.search(r'src="./(assets/[^"]+)"', got.text)[1]
    got = host.client.request("GET", f"/~me/ai/{name}", {"Accept-Encoding": "gzip"})
    assert (got.status, got.header("content-encoding")) == (200, "gzip")


@pytest.mark.parametrize("accepts, packed", [
    ("gzip, deflate, br", True), ("gzip;q=0.5", True), ("identity", False), ("gzip;q=0", False)])
def test_scripts_are_compressed_for_who_takes_it(host, accepts, packed):
    index = host.client.request("GET", "/ai/").text
    names = re.findall(r'(?:src|href)="./(assets/[^"]+)"', index)
    assert {name.rpartition(".")[2] for name in names} == {"js", "css"}
    for name in names:
        plain = host.client.request("GET", f"/ai/{name}")
        got = host.client.request("GET", f"/ai/{name}", {"Accept-Encoding": accepts})
        assert (got.status, got.header_all("content-encoding")) == (200, ["gzip"] * packed)
        assert (gzip.decompress(got.body) if packed else got.body) == plain.body
        assert got.header("vary").lower() == plain.header("vary").lower() == "accept-encoding"
        for header in ("content-type", "cache-control", "content-security-policy",
                       "x-content-type-options"):
            assert got.header_all(header) == plain.header_all(header)
            assert len(got.header_all(header)) == 1, header


@pytest.mark.parametrize("path", [
    "/ai/.htaccess", "/ai/.env", "/ai/.gpt-load.cgi.new", "/ai/gpt-load.cgi", "/ai/api.cgi",
    "/ai/gpt-load.fcgi", "/ai/gpt-load.cgi/proxy/x", "/ai/../gpt-load/etc/gpt-load/gpt-load.env",
    "/ai/..%2f..%2fgpt-load/etc/gpt-load/gpt-load.env", "/gpt-load/etc/gpt-load/gpt-load.env",
    "/ai/%2e%2e/%2e%2e/gpt-load/var/lib/gpt-load/auth_key", "/ai/proxy/../../gpt-load/x",
    "/~nobody/gpt-load/etc/gpt-load/gpt-load.env", "/host/host.conf",
])
def test_what_must_not_be_served_is_not(host, path):
    got = host.client.request("GET", path)
    assert 400 <= got.status < 500 or got.body.startswith(b"<!DOCTYPE html>")
    for secret in (AUTH_KEY, "GPT_LOAD_CONFIG", "RewriteRule"):
        assert secret.encode() not in got.body


def test_nothing_that_runs_or_is_kept_lies_in_the_folder(host):
    names = {path.name for path in host.folder.rglob("*") if path.is_file()}
    suffix = "cgi" if host.handler == "cgi" else "fcgi"
    assert {".htaccess", "index.html", f"gpt-load.{suffix}", f"api.{suffix}"} <= names
    assert not [n for n in names if n.endswith((".db", ".env", ".log", ".new"))]
    for path in [host.folder, *host.folder.rglob("*")]:  # as suEXEC wants it
        assert not path.is_symlink() and not path.stat().st_mode & 0o022, path
        assert path.stat().st_uid == host.home.stat().st_uid, path
    for path in (host.folder, *host.folder.glob(f"*.{suffix}")):
        assert path.stat().st_gid == host.home.stat().st_gid, path
        assert path.is_dir() or path.stat().st_mode & 0o7777 == 0o755, path
    for path in (host.configuration, host.prefix / "var/lib/gpt-load"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_start_that_fails_is_said_in_json(host, group):
    """A wrong value in the file: 503 with a reason to look for, no page of Apache's."""
    before = host.configuration.read_text()
    if host.handler == "fcgid":
        return  # what runs goes on with what it has read
    host.configuration.write_text(before + "MAX_CONCURRENT_REQUESTS=many\n")
    try:
        for path in ("/ai" + group.path("/v1/x"), "/ai/api/groups"):
            got = host.client.request("GET", path, HEADERS)
            assert got.status >= 500 and got.json()["message"]
    finally:
        host.configuration.write_text(before)
    assert "MAX_CONCURRENT_REQUESTS" in host.log_text()


@pytest.mark.parametrize("host", kinds("sqlite"), indirect=True)
def test_an_upgrade_under_load_loses_nothing(host, provider, group):
    """`make install install-htaccess` again, while requests come."""
    from concurrent.futures import ThreadPoolExecutor
    done = []

    def load(pool):
        def one(_):
            while not done:
                yield_status.append(ask(host, group, json={}).status)
        return [pool.submit(one, i) for i in range(4)]
    yield_status = []
    with ThreadPoolExecutor(4) as pool:
        futures = load(pool)
        try:
            for _ in range(2):
                count = len(yield_status)
                host.make("install")
                host.lay()
                until(lambda: len(yield_status) > count + 8, "requests went on")
        finally:
            done.append(True)
        for future in futures:
            future.result()
    assert set(yield_status) == {200}, yield_status


# --- the installation itself ---


@pytest.fixture
def account():
    one = Host("cgi")
    yield one
    one.shell(f"rm -rf {one.home}/*", check=False)
    one.home.rmdir()


def test_it_refuses_to_serve_its_own_files(account):
    account.install()
    account.folder = account.home
    done = account.make("install-htaccess", DIR=account.home, check=False)
    assert done.returncode != 0 and "would serve it" in done.stderr
    assert not (account.home / ".htaccess").exists()


def test_it_leaves_somebody_else_s_folder_alone(account):
    account.make("install")
    account.shell("mkdir -p public_html/ai; echo 'Require all denied' >public_html/ai/.htaccess")
    done = account.make("install-htaccess", DIR=account.folder, check=False)
    assert done.returncode != 0 and "somebody else's" in done.stderr
    done = account.make("install-htaccess", check=False)
    assert done.returncode != 0 and "DIR=" in done.stderr


def test_handlers_are_changed_and_all_is_taken_out_again(account):
    first = account.install()
    assert AUTH_KEY not in first.stdout + first.stderr
    account.handler = "fcgid"
    account.lay()
    names = {path.name for path in account.folder.iterdir()}
    assert "gpt-load.fcgi" in names and "gpt-load.cgi" not in names
    account.shell(f"echo mine >{account.folder}/mine.txt")
    account.make("uninstall-htaccess", DIR=account.folder)
    assert [path.name for path in account.folder.iterdir()] == ["mine.txt"]
    account.make("uninstall")
    left = {str(path.relative_to(account.prefix)) for path in account.prefix.rglob("*")
            if path.is_file()}
    # The state, and the configuration, since it was changed.
    assert "etc/gpt-load/gpt-load.env" in left
    assert {path.split("/")[0] for path in left} == {"etc", "var"}, left


def test_the_first_key_is_printed_once(account):
    account.make("install")
    with open(account.configuration, "a") as file:
        file.write(f"DATA_DIR={account.prefix}/var/lib/gpt-load\n")
    first, second = account.lay().stdout, account.lay().stdout
    key = (account.prefix / "var/lib/gpt-load/auth_key").read_text().strip()
    assert key in first and key not in second
    assert json.dumps(str(COMMAND)) not in first
