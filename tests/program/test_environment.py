# SPDX-License-Identifier: MIT
"""The environment variables: where they are read from, what is refused, and that each
one has an effect.

EFFECTS names for each variable the test that sees its effect; the table is held
against .env.example, and that against the programs.
"""

import datetime
import json
import os
import re
import stat
import subprocess

import pytest

from lib.gateway import AUTH_KEY, COMMAND, MASTER, ROOT, Gateway
from lib.provider import answer, hang_up
from lib.wait import until

EFFECTS = {
    "HOST": "test_environment::test_host",
    "PORT": "test_environment::test_host",
    "AUTH_KEY": "test_environment::test_a_changed_auth_key_opens_page_and_proxy",
    "AUTH_KEY_OPENS_PROXY": "test_environment::test_auth_key_opens_proxy",
    "DATA_DIR": "test_environment::test_data_dir_holds_everything_and_is_private",
    "DATABASE_DSN": "test_environment::test_database_dsn",
    "REDIS_DSN": "test_environment::test_what_is_refused_at_start",
    "ENCRYPTION_KEY": "test_encryption::test_keys_are_encrypted_at_rest",
    "WEB_SERVER": "test_environment::test_what_is_refused_at_start",
    "WORKERS": "test_environment::test_workers",
    "MAX_CONCURRENT_REQUESTS":
        "test_gate::test_full_is_503_with_retry_after_and_admin_is_never_held_back",
    "MAX_REQUEST_BODY_MB": "test_bodies::test_a_body_over_the_limit_is_413",
    "SERVER_READ_TIMEOUT": "test_environment::test_server_read_timeout",
    "SERVER_WRITE_TIMEOUT": "test_environment::test_server_timeouts_reach_the_web_server",
    "SERVER_IDLE_TIMEOUT": "test_environment::test_server_idle_timeout",
    "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT": "test_lifecycle::test_a_drain_is_bounded",
    "IS_SLAVE": "test_environment::test_what_is_refused_at_start",
    "ENABLE_CORS": "test_errors::test_enable_cors",
    "ALLOWED_ORIGINS": "test_errors::test_allowed_origins_methods_headers_and_credentials",
    "ALLOWED_METHODS": "test_errors::test_allowed_origins_methods_headers_and_credentials",
    "ALLOWED_HEADERS": "test_errors::test_allowed_origins_methods_headers_and_credentials",
    "ALLOW_CREDENTIALS": "test_errors::test_allowed_origins_methods_headers_and_credentials",
    "LOG_LEVEL": "test_environment::test_log_level_format_and_file",
    "LOG_FORMAT": "test_environment::test_log_level_format_and_file",
    "LOG_ENABLE_FILE": "test_environment::test_log_level_format_and_file",
    "LOG_FILE_PATH": "test_environment::test_log_level_format_and_file",
    "TZ": "test_environment::test_tz",
    "TRUSTED_PROXIES":
        "test_header_rules::test_a_forged_forwarded_for_is_believed_only_from_a_trusted_proxy",
    "MASK_KEYS": "test_environment::test_mask_keys",
    "METRICS_PUBLIC": "test_environment::test_metrics_public",
    "POOL_SIZE_MB": "test_faults::test_a_full_pool_is_said_and_recovers",
    "SPOOL_SIZE_MB": "test_faults::test_a_full_spool_loses_bodies_then_the_oldest_rows",
    "UPSTREAM_CA_FILE": "test_outgoing::test_upstream_ca_file",
    "HTTP_PROXY": "test_outgoing::test_http_proxy_and_no_proxy_of_the_environment",
    "HTTPS_PROXY": "test_outgoing::test_https_proxy_of_the_environment",
    "NO_PROXY": "test_outgoing::test_http_proxy_and_no_proxy_of_the_environment",
}


def test_every_variable_has_a_test_that_sees_its_effect(request):
    sample = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?\s?([A-Z][A-Z_]+)=", sample, re.MULTILINE))
    assert named == EFFECTS.keys()
    for place in EFFECTS.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (request.path.parent / f"{file}.py").read_text(), place


def test_check_config_names_every_variable_and_no_secret(gateway):
    done = gateway.command("check-config")
    assert done.returncode == 0, done.stderr
    for name in EFFECTS:
        assert re.search(rf"^{name}\b", done.stdout, re.MULTILINE), name
    assert AUTH_KEY not in done.stdout + done.stderr


UNUSABLE = [
    ("PORT", "abc"), ("PORT", "0"), ("PORT", "65536"), ("PORT", "80x"), ("WORKERS", "0"),
    ("WORKERS", "-1"), ("WORKERS", "many"), ("MAX_CONCURRENT_REQUESTS", "0"),
    ("MAX_REQUEST_BODY_MB", "0"), ("MAX_REQUEST_BODY_MB", "99999999999999999999"),
    ("SERVER_READ_TIMEOUT", "soon"), ("SERVER_WRITE_TIMEOUT", "-5"),
    ("SERVER_IDLE_TIMEOUT", "1h"), ("SERVER_GRACEFUL_SHUTDOWN_TIMEOUT", "x"),
    ("IS_SLAVE", "perhaps"), ("IS_SLAVE", "true"), ("ENABLE_CORS", "2"),
    ("ALLOW_CREDENTIALS", "si"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"),
    ("LOG_ENABLE_FILE", "maybe"), ("AUTH_KEY_OPENS_PROXY", "x"), ("MASK_KEYS", "x"),
    ("METRICS_PUBLIC", "x"), ("POOL_SIZE_MB", "0"), ("SPOOL_SIZE_MB", "big"),
    ("WEB_SERVER", "iis"), ("TRUSTED_PROXIES", "300.1.1.1"),
    ("TRUSTED_PROXIES", "10.0.0.0/99"), ("UPSTREAM_CA_FILE", "/no/such/file.pem"),
    ("DATABASE_DSN", "oracle://x"), ("REDIS_DSN", "http://x"),
    ("HTTP_PROXY", "ftp://127.0.0.1"), ("TZ", "Mars/Olympus"),
    ("DATA_DIR", "/proc/no/such/folder"),
]
# Refused by the command line; a responder waits for them (test_degrade.py).
AWAY = [("DATABASE_DSN", "postgres://u:p@127.0.0.1/db"), ("REDIS_DSN", "redis://127.0.0.1:1/0")]


@pytest.mark.only_on("sqlite", "refused before a database is opened")
@pytest.mark.parametrize("name, value", UNUSABLE + AWAY)
def test_what_is_refused_at_start(name, value):
    """One line on stderr that names the variable; 2 (bad configuration) or 1."""
    one = Gateway(**{name: value})
    programs = [[COMMAND, "prepare"], [MASTER, "--listen", one.socket, "--workers", "1"]]
    for program in programs[:1] if (name, value) in AWAY else programs:
        done = subprocess.run(program, env=one.environment, cwd=one.folder, text=True,
                              capture_output=True, timeout=20, check=False)
        assert done.returncode in (1, 2), done
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, done.stderr
        assert name in lines[0]
    one.stop()


@pytest.mark.only_on("sqlite", "the DSN is the test's own")
def test_a_password_in_a_refused_dsn_is_not_printed():
    one = Gateway(DATABASE_DSN="postgres://user:s3cretpass@127.0.0.1/db")
    done = one.command("prepare")
    assert done.returncode != 0
    assert "s3cretpass" not in done.stdout + done.stderr
    one.stop()


# --- where the configuration is found ---


def configuration(folder, environment, **rest):
    done = subprocess.run([COMMAND, "check-config"], cwd=folder, env=environment, text=True,
                          capture_output=True, check=False, **rest)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_environment_over_file_named_over_env_in_the_folder(tmp_path):
    named, here = tmp_path / "named.env", tmp_path / "here"
    here.mkdir()
    (here / ".env").write_text("PORT=4001\nWORKERS=5\nDATA_DIR=data\n")
    named.write_text("# a comment\nPORT=4002\nLOG_LEVEL = warn\nAUTH_KEY='a b $HOME `id`'\n"
                     'DATA_DIR="relative/data"\n')
    plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    from_here = configuration(here, plain)
    assert re.search(r"^PORT\W+4001\b", from_here, re.MULTILINE)
    assert str(here / "data") in from_here
    from_named = configuration(here, {**plain, "GPT_LOAD_CONFIG": str(named)})
    assert re.search(r"^PORT\W+4002\b", from_named, re.MULTILINE)
    assert re.search(r"^LOG_LEVEL\W+warn\b", from_named, re.MULTILINE)
    assert not re.search(r"^WORKERS\W+5\b", from_named, re.MULTILINE)
    assert str(tmp_path / "relative/data") in from_named
    over = configuration(here, {**plain, "GPT_LOAD_CONFIG": str(named), "PORT": "4003"})
    assert re.search(r"^PORT\W+4003\b", over, re.MULTILINE)


@pytest.mark.parametrize("line", ["PORT", "PORT=12x", "export PORT=1\n\x00", "=5"])
def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path, line):
    file = tmp_path / "bad.env"
    file.write_text("# fine\n" + line + "\n")
    done = subprocess.run([COMMAND, "check-config"], cwd=tmp_path, text=True, check=False,
                          capture_output=True,
                          env={"PATH": os.environ["PATH"], "GPT_LOAD_CONFIG": str(file)})
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


# --- effects ---


def test_host(start_gateway, provider):
    gateway = start_gateway(HOST="127.0.0.2", workers=1, web_server=False)
    gateway.client.host = "127.0.0.2"
    gateway.start_web()
    assert gateway.health().status == 200
    gateway.client.host = "127.0.0.1"
    assert gateway.health() is None


def test_a_changed_auth_key_opens_page_and_proxy(start_gateway, provider):
    gateway = start_gateway(AUTH_KEY="first-Key-0123456789abc", workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    old, new = gateway.api.auth_key, "second-Key-0123456789abc"
    gateway.restart(AUTH_KEY=new)
    gateway.api.auth_key = new
    assert gateway.api.call("GET", "/api/groups")
    assert gateway.ask(group, key=new).status == 200
    gateway.api.auth_key = old
    assert gateway.api.raw("GET", "/api/groups").status == 401


@pytest.mark.only_on("sqlite", "a database for several nodes needs an AUTH_KEY that is given")
def test_an_auth_key_is_generated_kept_and_shown_once(start_gateway, provider):
    gateway = start_gateway(AUTH_KEY=None, workers=1, web_server=False)
    file = gateway.data / "auth_key"
    key = file.read_text().strip()
    assert len(key) >= 20
    assert key in gateway.prepared.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    gateway.api.auth_key = key
    gateway.start_web()
    assert gateway.api.call("GET", "/api/groups") == []
    gateway.restart()
    assert file.read_text().strip() == key
    assert key not in gateway.prepared.stdout
    assert key not in gateway.log_text()


def test_auth_key_opens_proxy(start_gateway, provider):
    gateway = start_gateway(AUTH_KEY_OPENS_PROXY="false", workers=1)
    gateway.api.set(proxy_keys="a-client-key")
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    assert gateway.ask(group).status == 401
    assert gateway.ask(group, key="a-client-key").status == 200


def test_data_dir_holds_everything_and_is_private(start_gateway, provider):
    gateway = start_gateway(workers=1, LOG_ENABLE_FILE="true")
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.ask(group, "/v1/files", body=b"x" * (3 << 20))
    group.logs(1)
    assert stat.S_IMODE(gateway.data.stat().st_mode) == 0o700
    assert (gateway.data / "gpt-load.db").exists() == (gateway.stack.name == "sqlite")
    for file in gateway.data.rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert {p.name for p in gateway.folder.iterdir()} == {"data", "logs"}


@pytest.mark.only_on("sqlite", "the DSN of the other stacks is their DATABASE_DSN")
def test_database_dsn(start_gateway, provider, tmp_path):
    file = tmp_path / "elsewhere" / "my.db"
    gateway = start_gateway(DATABASE_DSN=file, workers=1)
    gateway.api.create_group(provider.origin, name="here")
    assert file.exists()
    assert not (gateway.data / "gpt-load.db").exists()


@pytest.mark.parametrize("n", [1, 3])
def test_workers(start_gateway, n):
    assert len(start_gateway(workers=n).workers()) == n


def test_server_read_timeout(start_gateway):
    gateway = start_gateway(SERVER_READ_TIMEOUT=1, workers=1)
    sock = gateway.client.connect()
    sock.sendall(b"POST /proxy/g/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12")
    sock.settimeout(15)
    assert b"HTTP/1.1 200" not in sock.recv(1000)  # closed, or refused
    sock.close()


def test_server_idle_timeout(start_gateway):
    gateway = start_gateway(SERVER_IDLE_TIMEOUT=1, workers=1)
    sock = gateway.client.connect()
    sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    sock.settimeout(15)
    assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert sock.recv(65536) == b""
    sock.close()


def test_server_timeouts_reach_the_web_server(gateway):
    text = gateway.web_server_configuration()
    assert re.search(r'max-read-idle\s*=\s*"?60\b', text)
    # At least request_timeout + 60, so that the server never cuts before we answer.
    assert int(re.search(r'max-write-idle\s*=\s*"?(\d+)', text)[1]) >= 660
    assert re.search(r'max-keep-alive-idle\s*=\s*"?120\b', text)


def test_log_level_format_and_file(start_gateway, provider, tmp_path):
    file = tmp_path / "logs" / "app.log"
    gateway = start_gateway(LOG_LEVEL="debug", LOG_FORMAT="json", LOG_ENABLE_FILE="true",
                            LOG_FILE_PATH=file, workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    provider.on(hang_up())

    def worth_a_line():
        gateway.ask(group)
        return file.exists() and file.read_text()
    lines = [json.loads(line) for line in until(worth_a_line, "a line").splitlines()]
    assert {"warn", "info"} & {str(v).lower() for line in lines for v in line.values()}
    file.rename(file.with_suffix(".1"))
    until(worth_a_line, "the log is opened again after it was rotated")

    gateway.restart(LOG_LEVEL="error", LOG_FORMAT="text", LOG_FILE_PATH=tmp_path / "quiet.log")
    provider.on(answer(401, json={}))  # is worth a warning only
    gateway.ask(group)
    quiet = tmp_path / "quiet.log"
    assert not quiet.exists() or quiet.read_text() == ""


@pytest.mark.parametrize("zone, offset", [("Asia/Shanghai", "+08:00"), ("UTC", "+00:00"),
                                          ("Asia/Kolkata", "+05:30")])
def test_tz(start_gateway, provider, zone, offset):
    gateway = start_gateway(TZ=zone, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.ask(group)
    (row,) = group.logs(1)
    assert row["timestamp"].replace("Z", "+00:00").endswith(offset)
    ((stored,),) = gateway.query("SELECT timestamp FROM request_logs")
    said = datetime.datetime.fromisoformat(row["timestamp"])
    assert abs(gateway.database.moment(stored) - said) < datetime.timedelta(milliseconds=1)
    ((created,),) = gateway.query('SELECT created_at FROM "groups"')
    age = datetime.datetime.now(datetime.UTC) - gateway.database.moment(created)
    assert datetime.timedelta(seconds=-1) < age < datetime.timedelta(minutes=2)


@pytest.mark.only_on("sqlite", "the others have a type for times")
def test_times_in_sqlite_are_text_as_the_original_writes_it(start_gateway, provider):
    gateway = start_gateway(TZ="Asia/Kolkata", workers=1)
    gateway.ask(gateway.api.create_group(provider.origin, keys=["sk-a"]))
    gateway.api.logs(1)
    for sql in ("SELECT timestamp FROM request_logs", "SELECT created_at FROM groups"):
        ((stored,),) = gateway.query(sql)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+05:30", stored)


def test_mask_keys(start_gateway, provider):
    key = "sk-abcdefghijklmnopqrstuvwx"
    gateway = start_gateway(MASK_KEYS="true", workers=1)
    group = gateway.api.create_group(provider.origin, keys=[key], proxy_keys="client-key-1234")
    gateway.ask(group)
    (row,) = group.key_list()
    assert row["key_value"] != key and row["key_value"].startswith("sk-a")
    assert key not in json.dumps(group.logs(1))
    assert "client-key-1234" not in json.dumps(gateway.api.call("GET", "/api/groups"))


def test_metrics_public(start_gateway, gateway):
    assert gateway.client.request("GET", "/metrics").status == 401
    own = gateway.client.request("GET", "/metrics", gateway.headers())
    assert own.status == 200
    open_one = start_gateway(METRICS_PUBLIC="true", workers=1)
    assert open_one.client.request("GET", "/metrics").status == 200


def test_a_weak_auth_key_works_and_is_warned_of(start_gateway):
    gateway = start_gateway(AUTH_KEY="sk-123456", workers=1)
    assert gateway.api.call("GET", "/api/groups") == []
    assert re.search(r"AUTH_KEY.*weak|weak.*AUTH_KEY", gateway.log_text(), re.IGNORECASE)
    assert "sk-123456" not in gateway.log_text()
