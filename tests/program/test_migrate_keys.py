# SPDX-License-Identifier: MIT
"""gpt-load migrate-keys: another ENCRYPTION_KEY for everything that is stored, whatever
kills it when."""

import fcntl
import hashlib
import json
import os
import pty
import signal
import subprocess
import termios
import time

import pytest

from lib.engines import MariaDB, PostgreSQL, Redis
from lib.gateway import COMMAND
from lib.original import Cipher, Original
from lib.provider import answer
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "each test makes the databases that it needs")

OLD = "the-Old-Passphrase-0123456"
NEW = "the-New-Passphrase-6543210"
WAYS = {"enable": (None, NEW), "disable": (OLD, None), "change": (OLD, NEW)}


def arguments(way):
    old, new = WAYS[way]
    return [*(["--from-env", "TEST_OLD"] if old else []),
            *(["--to-env", "TEST_NEW"] if new else [])]


class Many:
    """A stopped installation on SQLite with many keys and log rows."""

    def __init__(self, start_gateway, password, keys=3000, rows=3000, **more):
        self.gateway = start_gateway(workers=1, web_server=False, ENCRYPTION_KEY=password,
                                     TEST_OLD=OLD, TEST_NEW=NEW, **more)
        self.gateway.stop_master()
        self.keys = [f"sk-many-{n:06d}" for n in range(keys)]
        group = json.dumps({"name": "many", "channel_type": "openai", "test_model": "m",
                            "upstreams": [{"url": "http://127.0.0.1:9", "weight": 1}]})
        assert self.run("groups", "create", input=group).returncode == 0
        done = self.run("import", "many", "--json", input="\n".join(self.keys))
        assert json.loads(done.stdout)["done"] == keys, done.stderr
        self.put_rows(rows)

    def run(self, *words, **rest):
        return self.gateway.command(*words, **rest)

    def put_rows(self, n):
        if n == 0:
            return
        self.gateway.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO request_logs (id, timestamp, group_id, is_success, status_code, "
            "duration, is_stream, key_value, key_hash, gptl_request_id) "
            "SELECT printf('%08x-0000-4000-8000-000000000000', i * 7919 % 4294967296), "
            "'2026-01-01 00:00:00+08:00', 1, 1, 200, 1, 0, key_value, key_hash, 'r' FROM n "
            "JOIN api_keys k ON k.id = 1 + i % (SELECT count(*) FROM api_keys)", n)

    def check(self, password):
        """Everything opens with this password, and is what it was."""
        cipher = Cipher(password)
        stored = self.gateway.query("SELECT key_value, key_hash FROM api_keys ORDER BY id")
        assert [cipher.opened(value) for value, _ in stored] == self.keys
        assert all(cipher.digest(text) == hashed
                   for text, (_, hashed) in zip(self.keys, stored, strict=True))
        for value, hashed in self.gateway.query("SELECT key_value, key_hash FROM request_logs"):
            assert cipher.digest(cipher.opened(value)) == hashed
        assert self.gateway.query("SELECT name FROM sqlite_master WHERE name = 'gptl_rekey'") == []
        assert self.gateway.query("SELECT value FROM gptl_meta WHERE name = 'rekey'") == []
        assert self.gateway.query("PRAGMA quick_check") == [("ok",)]
        self.gateway.set_environment(ENCRYPTION_KEY=password)
        done = self.run("export", "many")
        assert done.stdout.split() == self.keys, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_every_key_and_row(start_gateway, way):
    many = Many(start_gateway, WAYS[way][0])
    done = many.run("migrate-keys", *arguments(way))
    assert done.returncode == 0, done.stderr
    assert "3000 keys and 3000 log rows" in done.stdout
    assert OLD not in done.stdout + done.stderr and NEW not in done.stdout + done.stderr
    many.check(WAYS[way][1])
    # Once more: it is done, and says so.
    again = many.run("migrate-keys", *arguments(way))
    assert again.returncode == 0
    assert "0 keys and 0 log rows" in again.stdout
    many.check(WAYS[way][1])


def test_what_was_in_clear_is_not_left_in_the_file(start_gateway):
    many = Many(start_gateway, None, keys=50, rows=50)
    file = many.gateway.data / "gpt-load.db"
    assert b"sk-many-000007" in file.read_bytes()
    assert many.run("migrate-keys", "--to-env", "TEST_NEW").returncode == 0
    for left in many.gateway.data.glob("gpt-load.db*"):
        assert b"sk-many-" not in left.read_bytes(), left


# A change does what the others do, one after the other.
@pytest.mark.parametrize("way", [
    "change", pytest.param("enable", marks=pytest.mark.scale),
    pytest.param("disable", marks=pytest.mark.scale)])
def test_killed_at_any_moment_and_run_again(start_gateway, way):
    old, new = WAYS[way]
    many = Many(start_gateway, old, keys=2500, rows=2500)
    command = [COMMAND, "migrate-keys", *arguments(way)]
    backup = many.gateway.folder / "before.db"
    assert many.run("backup", str(backup)).returncode == 0
    began = time.monotonic()
    assert subprocess.run(command, env=many.gateway.environment, capture_output=True,
                          cwd=many.gateway.folder, check=False).returncode == 0
    whole = time.monotonic() - began
    killed = 0
    ciphers = {"old": Cipher(old), "new": Cipher(new)}
    for part in range(6):
        many.gateway.set_environment(ENCRYPTION_KEY=old)
        done = many.run("restore", str(backup), "--yes")
        assert done.returncode == 0, done.stderr
        began = time.monotonic()
        process = subprocess.Popen(command, env=many.gateway.environment,
                                   cwd=many.gateway.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(whole * (part + 1) / 8)
            whole = min(whole, time.monotonic() - began)  # the first was beside others
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        # Either all keys are as before, or all are as after.
        stored = many.gateway.query("SELECT key_value FROM api_keys")
        opened = set()
        for (value,) in stored:
            for name, cipher in ciphers.items():
                try:
                    opened.add(name if cipher.opened(value).startswith("sk-many-") else "")
                except Exception:  # noqa: BLE001, S110: another key's
                    pass
        assert opened - {""} in ({"old"}, {"new"})
        done = many.run("migrate-keys", *arguments(way))
        assert done.returncode == 0, done.stderr
        many.check(new)
    assert killed >= 3


def test_a_gateway_that_runs_is_not_touched(start_gateway):
    many = Many(start_gateway, OLD, keys=10, rows=10)
    many.gateway.start()
    until(lambda: many.run("status", "--json").returncode == 0, "it serves")
    done = many.run("migrate-keys", *arguments("change"))
    assert done.returncode == 1
    assert "stop" in done.stderr
    many.gateway.stop_master()
    many.check(OLD)


def test_a_wrong_old_key_changes_nothing(start_gateway):
    many = Many(start_gateway, OLD, keys=10, rows=10)
    many.gateway.set_environment(TEST_OLD="a-Wrong-Passphrase-000000")
    done = many.run("migrate-keys", *arguments("change"))
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    many.check(OLD)


def test_one_damaged_key_stops_it_before_anything_is_changed(start_gateway):
    many = Many(start_gateway, OLD, keys=100, rows=10)
    many.gateway.execute("UPDATE api_keys SET key_value = 'ab' || substr(key_value, 3) "
                         "WHERE id = 17")
    done = many.run("migrate-keys", *arguments("change"))
    assert done.returncode == 1
    assert "1 of 100 keys" in done.stderr and "key 17" in done.stderr
    # The operator deletes it, and it goes on.
    assert many.run("keys", "delete", "many", "17").returncode == 0
    del many.keys[16]
    many.gateway.execute("DELETE FROM request_logs")
    assert many.run("migrate-keys", *arguments("change")).returncode == 0
    many.check(NEW)


def test_a_waiting_import_is_stored_anew_too(start_gateway):
    many = Many(start_gateway, OLD, keys=5, rows=0)
    late = [f"sk-many-late-{n}" for n in range(50)]
    done = many.run("import", "many", "--background", input="\n".join(late))
    assert done.returncode == 0 and "under way" in done.stdout
    assert many.run("migrate-keys", *arguments("change")).returncode == 0
    many.gateway.set_environment(ENCRYPTION_KEY=NEW)
    assert many.run("jobs", "--once").returncode == 0
    many.keys += late
    many.check(NEW)


@pytest.mark.parametrize("way", [
    "enable", pytest.param("disable", marks=pytest.mark.scale),
    pytest.param("change", marks=pytest.mark.scale)])
def test_a_waiting_import_is_all_that_is_stored(start_gateway, way):
    old, new = WAYS[way]
    many = Many(start_gateway, old, keys=1, rows=0)
    assert many.run("keys", "delete", "many", "--all", "--yes").returncode == 0
    many.keys = [f"sk-many-late-{n}" for n in range(50)]
    done = many.run("import", "many", "--background", input="\n".join(many.keys))
    assert done.returncode == 0 and "under way" in done.stdout
    for _ in range(2):
        assert many.run("migrate-keys", *arguments(way)).returncode == 0
    many.gateway.set_environment(ENCRYPTION_KEY=new)
    assert many.run("jobs", "--once").returncode == 0
    many.check(new)


def test_the_gateway_goes_on_with_the_new_key(start_gateway, provider):
    """Through the pool, and with what was known of keys."""
    gateway = start_gateway(workers=1, ENCRYPTION_KEY=OLD, TEST_OLD=OLD, TEST_NEW=NEW)
    provider.on(answer(401, json={"error": {"message": "bad"}}), key="sk-bad")
    group = gateway.api.create_group(provider.origin, keys=["sk-good", "sk-bad"],
                                     config={"blacklist_threshold": 1})
    for _ in range(3):
        gateway.ask(group)
    group.wait_status("sk-bad", "invalid")
    gateway.stop_web()
    gateway.stop_master()
    done = gateway.command("migrate-keys", *arguments("change"))
    assert done.returncode == 0, done.stderr
    refused = gateway.command("prepare")
    assert refused.returncode == 2 and "ENCRYPTION_KEY" in refused.stderr
    gateway.set_environment(ENCRYPTION_KEY=NEW)
    gateway.start()
    provider.forget()
    assert gateway.ask(group).status == 200
    assert "sk-good" in provider.keys
    assert group.status_of("sk-bad") == "invalid"
    assert {row["key_value"] for row in group.logs(4)} == {"sk-good", "sk-bad"}


@pytest.mark.parametrize("kind, store", [(MariaDB, Redis), (PostgreSQL, None)])
@pytest.mark.parametrize("way", WAYS)
def test_on_a_server(start_gateway, provider, kind, store, way):
    old, new = WAYS[way]
    with kind() as engine, (store or Nothing)() as redis:
        place = Original.on(engine, password=old, upstream=provider.origin)
        gateway = start_gateway(workers=1, DATABASE_DSN=place.dsn, ENCRYPTION_KEY=old,
                                REDIS_DSN=redis.dsn() if store else None,
                                TEST_OLD=OLD, TEST_NEW=NEW)
        gateway.stop_web()
        gateway.stop_master()
        done = gateway.command("migrate-keys", *arguments(way))
        assert done.returncode == 0, done.stderr
        cipher = Cipher(new)
        assert {cipher.opened(value) for (value,) in place.ask("SELECT key_value FROM api_keys")} \
            == set(place.keys)
        rows = place.ask("SELECT key_value, key_hash FROM request_logs WHERE key_value <> ''")
        assert len(rows) >= len(place.rows)
        for value, hashed in rows:
            assert cipher.digest(cipher.opened(value)) == hashed
        assert not [name for name in place.schema() if "gptl_rekey" in name]
        gateway.set_environment(ENCRYPTION_KEY=new)
        gateway.start()
        assert gateway.command("export", "second").stdout.split() \
            == ["sk-second-1", "sk-second-1", "sk-second-2"]


class Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *exc):
        pass


# --- where the two keys come from ---


def test_from_a_file_and_standard_input(start_gateway, tmp_path):
    many = Many(start_gateway, OLD, keys=5, rows=0)
    (tmp_path / "old").write_text(OLD + "\n")
    done = many.run("migrate-keys", "--from-file", str(tmp_path / "old"), "--to-file", "-",
                    input=NEW + "\n")
    assert done.returncode == 0, done.stderr
    many.check(NEW)


def test_as_the_original_takes_them(start_gateway):
    many = Many(start_gateway, OLD, keys=5, rows=0)
    done = many.run("migrate-keys", "--from", OLD, f"--to={NEW}")
    assert done.returncode == 0
    assert done.stderr.count("every user of this machine") == 2
    assert OLD not in done.stderr and NEW not in done.stderr
    many.check(NEW)


def test_a_terminal_shows_what_is_typed_again_after_an_interrupt(tmp_path):
    ours, its = os.openpty()

    def at_the_terminal():
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)
    with subprocess.Popen([COMMAND, "migrate-keys", "--to-ask"], cwd=tmp_path,
                          env={"DATA_DIR": str(tmp_path / "data")}, preexec_fn=at_the_terminal,
                          stderr=subprocess.DEVNULL) as process:
        shown = b""
        while b"ENCRYPTION_KEY: " not in shown:
            shown += os.read(ours, 1000)
        assert not termios.tcgetattr(its)[3] & termios.ECHO
        os.write(ours, b"half\x03")
        assert process.wait(20) == -signal.SIGINT
    assert termios.tcgetattr(its)[3] & termios.ECHO
    os.close(ours)
    os.close(its)


def test_typed_at_a_terminal_unseen_and_with_progress(start_gateway):
    many = Many(start_gateway, OLD, keys=5000, rows=0)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(many.gateway.folder)
        os.execve(COMMAND, [str(COMMAND), "migrate-keys", "--from-ask", "--to-ask"],
                  many.gateway.environment)
    shown = b""
    for question, text in ((b"old ENCRYPTION_KEY: ", OLD), (b"new ENCRYPTION_KEY: ", NEW),
                           (b"the same again: ", NEW)):
        while question not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, text.encode() + b"\n")
    try:
        while chunk := os.read(terminal, 10000):
            shown += chunk
    except OSError:  # its end
        pass
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert OLD.encode() not in shown and NEW.encode() not in shown
    assert b" of 5000 (" in shown
    many.check(NEW)


@pytest.mark.parametrize("words, says", [
    ([], "which key"),
    (["--to-env", "NO_SUCH_NAME"], "no variable NO_SUCH_NAME"),
    (["--to-env", "TEST_NEW", "--to-file", "x"], "one place"),
    (["--from-env", "TEST_NEW", "--to-env", "TEST_NEW"], "the same"),
    (["--to-file", "/nonexistent"], "/nonexistent"),
    (["--wrong"], "--wrong"),
    (["word", "--to-env", "TEST_NEW"], "options only"),
    (["--to-env"], "needs a value"),
])
def test_bad_usage_is_one_line(gateway, words, says):
    environment = {**gateway.environment, "TEST_NEW": NEW}
    done = subprocess.run([COMMAND, "migrate-keys", *words], env=environment, text=True,
                          capture_output=True, cwd=gateway.folder, check=False)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_plain_digest_is_what_the_original_writes(start_gateway):
    many = Many(start_gateway, OLD, keys=3, rows=0)
    assert many.run("migrate-keys", "--from-env", "TEST_OLD").returncode == 0
    assert many.gateway.query("SELECT key_hash FROM api_keys WHERE id = 1") \
        == [(hashlib.sha256(b"sk-many-000000").hexdigest(),)]
