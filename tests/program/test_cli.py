# SPDX-License-Identifier: MIT
"""The command line: groups, keys, import and export, status, logs, backup and restore;
what it refuses, and how it ends."""

import json
import os
import pathlib
import pty
import re
import signal
import sqlite3
import subprocess
import threading

import pytest

from lib.api import unique
from lib.engines import MariaDB, PostgreSQL
from lib.gateway import COMMAND, ROOT
from lib.provider import Stream, answer
from lib.wait import until

COMMANDS = re.findall(r"^  ([a-z-]+) {2,}", subprocess.run(
    [COMMAND, "--help"], text=True, capture_output=True, check=True).stdout, re.M)
# What a script reads is one JSON value a line.
JSON_LINES = [["check-config", "--json"], ["status", "--json"], ["groups", "--json"]]


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- help, errors ---


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(gateway, command):
    done = gateway.command(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: gpt-load {command}")
    assert all(len(line) <= 96 for line in done.stdout.splitlines())
    assert gateway.command(command, "a", "--help").stdout == done.stdout


def test_an_unknown_command(gateway):
    done = gateway.command("nonsense")
    assert (done.returncode, "nonsense" in done.stderr) == (2, True)
    assert gateway.command().returncode == 2
    assert gateway.command("--version").stdout.startswith("gpt-load ")


@pytest.mark.parametrize("words", [
    ["prepare", "x"], ["jobs"], ["env", "x"], ["log"], ["check-config", "x"],
    ["status", "x"], ["groups", "dance"], ["groups", "show"], ["keys"], ["keys", "list"],
    ["keys", "dance", "g"], ["keys", "list", "g", "--status", "odd"], ["keys", "show", "x"],
    ["keys", "list", "g", "--limit", "0"], ["keys", "enable", "g", "--all"], ["import"],
    ["import", "a", "b", "c"], ["export"], ["export", "g", "--status", "resting"], ["backup"],
    ["restore"], ["restore", "x", "--refill"], ["logs", "x"], ["logs", "--since", "yesterday"],
    ["logs", "--type", "odd"], ["logs", "--status", "x"], ["migrate-keys"],
    ["status", "--nonsense"], ["logs", "--group"], ["groups", "delete", "a", "b", "--yes"],
    ["groups", "list", "a"], ["groups", "show", "a", "b"], ["keys", "list", "a", "b"],
    ["keys", "list", "g", "--invalid"], ["keys", "validate", "g", "5"],
    ["keys", "delete", "g", "5", "--status", "invalid"], ["keys", "show", "5", "6"],
    ["keys", "enable", "g", "--invalid", "--reason", "x"],
])
def test_bad_usage_ends_with_2_and_one_line(gateway, words):
    done = gateway.command(*words)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [
    ["--help"], ["--version"], ["env"], ["status"], ["groups", "--json"],
    ["keys", "list", "GROUP"], ["export", "GROUP"],
])
def test_output_that_is_not_taken_is_an_error_of_one_line(gateway, make_group, words):
    name = make_group(keys=["sk-out"]).name
    with open("/dev/full", "w") as full:
        done = subprocess.run([COMMAND, *[name if word == "GROUP" else word for word in words]],
                              env=gateway.environment, cwd=gateway.folder, text=True, timeout=60,
                              stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) \
        == (1, "gpt-load: standard output does not take everything\n")


def test_who_follows_the_log_ends_when_its_reader_leaves(gateway):
    process = subprocess.Popen([COMMAND, "logs", "--follow"], env=gateway.environment,
                               cwd=gateway.folder, stdout=subprocess.PIPE)
    process.stdout.close()
    try:
        process.wait(20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("words", [
    ["export", "no-such-group"], ["import", "no-such-group", "/dev/null"],
    ["keys", "list", "no-such-group"], ["keys", "show", "999999999"],
    ["groups", "show", "999999999"], ["groups", "delete", "no-such-group", "--yes"],
    ["restore", "/nonexistent", "--yes"], ["backup", "/nonexistent/file"], ["logs", "--key-id", "999999999"],
])
def test_what_is_not_there_ends_with_1(gateway, words):
    done = gateway.command(*words)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("words", JSON_LINES)
def test_json_is_json(gateway, words):
    for value in lines(gateway.command(*words)):
        assert isinstance(value, dict)


# --- the manual ---


def manual(name):
    text = (ROOT / "man" / name).read_text()
    return text.replace("\\-", "-")


def options_of(text):
    return set(re.findall(r"(?:--|\bFl -)([a-z][a-z-]*[a-z])", text))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_has_every_option_of_a_command(gateway, command):
    text = manual("gpt-load.1")
    section = re.search(rf"^\.Ss gpt-load {command}( [^\n]*)?\n(.*?)(?=^\.S[sh] )", text, re.M | re.S)
    assert section is not None, f"{command} is not in gpt-load(1)"
    said = gateway.command(command, "--help").stdout
    assert options_of(section[0]) == options_of(said)


def test_the_manual_has_no_other_command():
    assert re.findall(r"^\.Ss gpt-load ([a-z-]+)", manual("gpt-load.1"), re.M) == COMMANDS


def test_the_manual_of_the_responder():
    done = subprocess.run([COMMAND.parent.parent / "fcgi-app" / "gpt-load.fcgi", "--help"],
                          text=True, capture_output=True, check=True)
    assert options_of(manual("gpt-load.fcgi.8")) - {"once"} == options_of(done.stdout)


def test_the_manual_of_the_variables():
    page = (COMMAND.parent.parent / "man" / "gpt-load.env.5").read_text()
    said = re.findall(r"^\.It Ev (\w+)", page, re.M)
    known = re.findall(r"^#([A-Z][A-Z0-9_]*)=", (ROOT / ".env.example").read_text(), re.M)
    assert said == known
    # Each stands before a text, or before another that shares its text.
    assert not re.search(r"^\.It Ev \w+.*\n\.El", page, re.M)


@pytest.mark.parametrize("page", ["gpt-load.1", "gpt-load.fcgi.8", "gpt-load.env.5"])
def test_the_manual_is_sound_mdoc(page):
    folder = COMMAND.parent.parent if page.endswith("5") else ROOT
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", folder / "man" / page], text=True,
                          capture_output=True, check=False)
    assert done.stdout + done.stderr == ""


# --- groups ---


def test_a_group_from_nothing_to_nothing(gateway, provider):
    name = unique("cli")
    body = {"name": name, "channel_type": "openai", "test_model": "m",
            "proxy_keys": "sk-its-own-key",
            "upstreams": [{"url": provider.origin, "weight": 1}]}
    (made,) = lines(gateway.command("groups", "create", input=json.dumps(body)))
    assert made["name"] == name and made["keys"]["total"] == 0
    assert "sk-its-own-key" not in json.dumps(made)
    (shown,) = lines(gateway.command("groups", "show", name, "--reveal"))
    assert shown["proxy_keys"] == "sk-its-own-key"
    done = gateway.command("import", name, input="sk-cli-1, sk-cli-2\nsk-cli-1")
    assert (done.returncode, done.stdout) == (0, "2 keys added, 1 were there already\n")
    # The gateway that runs has them at once.
    reply = gateway.client.request("POST", f"/proxy/{name}/v1/chat/completions",
                                   gateway.headers("sk-its-own-key"), json={"model": "m"})
    assert reply.status == 200
    (changed,) = lines(gateway.command("groups", "update", str(made["id"]),
                                       input='{"display_name":"Changed"}'))
    assert (changed["display_name"], changed["keys"]["active"]) == ("Changed", 2)
    assert any(g["id"] == made["id"] for g in lines(gateway.command("groups", "--json")))
    assert name in gateway.command("groups").stdout
    twice = gateway.command("groups", "create", input=json.dumps(body))
    assert twice.returncode == 1 and name in twice.stderr + name
    unsaid = gateway.command("groups", "delete", name, stdin=subprocess.DEVNULL)
    assert unsaid.returncode == 2 and "--yes" in unsaid.stderr
    assert gateway.command("groups", "delete", name, "--yes").returncode == 0
    assert gateway.command("groups", "show", name).returncode == 1
    assert gateway.command("groups", "create", input="{").returncode == 1


# --- keys ---


def test_a_table_of_keys_cuts_none_that_is_shown_and_moves_no_terminal(gateway, make_group,
                                                                       provider):
    key = "sk-proj-" + "x" * 160
    group = make_group(keys=[key]).configure(blacklist_threshold=1)
    provider.on(answer(401, json={"error": {"message": "\x1b[2J no"}}))
    gateway.ask(group)
    group.wait_status(key, "invalid")
    table = gateway.command("keys", "list", group.name, "--reveal").stdout
    assert f" {key} " in table and "no" in table.splitlines()[1] and "\x1b" not in table


def test_keys_by_hand(gateway, make_group, provider):
    group = make_group(keys=["sk-one-aaaaaaaa", "sk-two-bbbbbbbb", "sk-three-cccccc"])
    rows = lines(gateway.command("keys", "list", group.name, "--json"))
    assert [r["state"] for r in rows] == ["active"] * 3
    assert "sk-one-aaaaaaaa" not in json.dumps(rows)
    one, two, three = (r["id"] for r in rows)
    done = gateway.command("keys", "disable", group.name, str(two), str(one), "--reason", "leaked")
    assert (done.returncode, done.stdout) == (0, "2 keys disabled\n")
    provider.forget()
    for _ in range(3):
        gateway.ask(group)
    assert set(provider.keys) == {"sk-three-cccccc"}
    (shown,) = lines(gateway.command("keys", "show", str(one), "--json", "--reveal"))
    assert (shown["key"], shown["state"], shown["disabled_reason"]) \
        == ("sk-one-aaaaaaaa", "disabled", "leaked")
    assert len(lines(gateway.command("keys", "list", group.name, "--status", "disabled",
                                     "--json"))) == 2
    done = gateway.command("keys", "enable", group.name, "-", "--json", input="sk-one-aaaaaaaa")
    assert lines(done) == [{"enabled": 1}]
    assert group.key("sk-one-aaaaaaaa")["disabled_reason"] == ""
    other = make_group(keys=["sk-of-another"])
    strange = gateway.command("keys", "delete", other.name, str(three))
    assert strange.returncode == 1 and "not of group" in strange.stderr
    assert gateway.command("keys", "delete", group.name, str(three)).stdout == "1 keys deleted\n"
    assert gateway.command("export", group.name).stdout.split() \
        == ["sk-one-aaaaaaaa", "sk-two-bbbbbbbb"]
    assert gateway.command("export", group.name, "--status=disabled").stdout.split() \
        == ["sk-two-bbbbbbbb"]
    unsaid = gateway.command("keys", "delete", group.name, "--all", stdin=subprocess.DEVNULL)
    assert unsaid.returncode == 2
    assert gateway.command("keys", "delete", group.name, "--all", "--yes").stdout \
        == "2 keys deleted\n"
    assert gateway.ask(group).status == 503


def test_why_a_key_is_out_and_back(gateway, make_group, provider):
    provider.on(answer(401, json={"error": {"message": "revoked today"}}), key="sk-bad-0000000")
    group = make_group(keys=["sk-bad-0000000", "sk-good-000000"], config={"blacklist_threshold": 1})
    gateway.ask(group)
    gateway.ask(group)
    group.wait_status("sk-bad-0000000", "invalid")
    (row,) = lines(gateway.command("keys", "list", group.name, "--status", "invalid", "--json"))
    assert (row["last_status"], "revoked today" in row["last_error"]) == (401, True)
    assert row["next_check_at"] is not None
    assert "revoked today" in gateway.command("keys", "list", group.name).stdout
    done = gateway.command("keys", "validate", group.name, "--status", "invalid", "--json")
    assert lines(done)[0]["done"] == 0
    provider.on(answer(json={"ok": True}), key="sk-bad-0000000")
    done = gateway.command("keys", "validate", group.name)
    assert done.stdout == "2 keys work, 0 do not\n", done.stderr
    assert group.status_of("sk-bad-0000000") == "active"


def test_an_aggregate_has_no_keys(gateway, make_group):
    whole = gateway.api.create_aggregate((make_group(), 1))
    done = gateway.command("import", whole.name, input="sk-x")
    assert done.returncode == 1 and "aggregate" in done.stderr
    assert gateway.command("import", make_group().name, input=" \n").returncode == 1


# --- import: killed, at a terminal ---


def test_an_import_that_is_killed_is_finished_by_the_gateway(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin)
    keys = [f"sk-large-{n:06d}" for n in range(20000)]
    with subprocess.Popen([COMMAND, "import", group.name], env=gateway.environment, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          cwd=gateway.folder) as process:
        process.stdin.write("\n".join(keys))
        process.stdin.close()
        until(lambda: gateway.api.call("GET", "/api/tasks"), "the task is there", every=0.01)
        process.send_signal(signal.SIGKILL)
    until(lambda: gateway.api.call("GET", "/api/tasks")[0]["state"] == "done", "it is done", 60)
    assert gateway.command("export", group.name).stdout.split() == keys


def test_progress_at_a_terminal_and_none_else(start_gateway, provider):
    gateway = start_gateway(workers=1, web_server=False)
    gateway.stop_master()
    body = {"name": "g", "channel_type": "openai", "test_model": "m",
            "upstreams": [{"url": provider.origin, "weight": 1}]}
    assert gateway.command("groups", "create", input=json.dumps(body)).returncode == 0
    file = gateway.folder / "keys"
    file.write_text("\n".join(f"sk-progress-{n:06d}" for n in range(6000)))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(gateway.folder)
        os.execve(COMMAND, [str(COMMAND), "import", "g", str(file)], gateway.environment)
    shown = b""
    try:
        while chunk := os.read(terminal, 10000):
            shown += chunk
    except OSError:
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert b" of 6000 (" in shown
    assert b"6000 keys added" in shown
    done = gateway.command("import", "g", str(file))
    assert (done.stdout, done.stderr) == ("0 keys added, 6000 were there already\n", "")


# --- status ---


def test_status_of_a_gateway_that_runs_and_one_that_does_not(start_gateway, provider):
    gateway = start_gateway(workers=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b"])
    stream = provider.on(Stream())
    response = gateway.open(group)
    stream.wait_opened()

    def of_all():
        return json.loads(gateway.command("status", "--json").stdout)
    until(lambda: of_all()["lease_holder"], "somebody does the background work")
    (now,) = lines(gateway.command("status", "--json"))
    assert now["serves"] is True
    assert now["node"]["workers"] == 2 and now["node"]["under_way"] == 1
    assert now["pool"]["active"] == 2 and now["pool"]["complete"] is True
    assert now["database"]["answers"] is True and now["database"]["schema"] >= 3
    stream.end()
    response.body
    assert "serves" in gateway.command("status").stdout
    gateway.stop_web()
    gateway.stop_master()
    done = gateway.command("status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["serves"] is False
    assert "does not serve" in gateway.command("status").stdout


# --- logs ---


def test_logs_with_filters(gateway, make_group, provider):
    provider.on(answer(401, json={"error": {"message": "no"}}), key="sk-log-bad")
    group = make_group(keys=["sk-log-bad", "sk-log-good"])
    for _ in range(4):
        gateway.ask(group)
    group.logs(5)

    def rows(*words):
        return lines(gateway.command("logs", "--group", group.name, "--json", *words))
    everything = rows()
    assert len(everything) >= 6
    assert [r["timestamp"] for r in everything] == sorted(r["timestamp"] for r in everything)
    assert len(rows("--rows", "2")) == 2
    assert rows("--rows", "2") == everything[-2:]
    assert {r["status_code"] for r in rows("--status", "401")} == {401}
    assert {r["is_success"] for r in rows("--failed")} == {False}
    assert {r["request_type"] for r in rows("--type", "retry")} == {"retry"}
    one = everything[0]["request_id"]
    assert {r["request_id"] for r in rows("--request", one)} == {one}
    bad = group.key("sk-log-bad")["id"]
    assert {r["status_code"] for r in rows("--key-id", str(bad))} == {401}
    assert rows("--model", "no-such-model") == []
    assert rows("--since", "2099-01-01T00:00:00Z") == []
    assert rows("--ip", "203.0.113.9") == []
    text = gateway.command("logs", "--group", group.name).stdout
    assert "sk-log" not in text and "401" in text


def test_logs_are_followed(gateway, make_group):
    group = make_group(keys=1)
    gateway.ask(group)
    process = subprocess.Popen([COMMAND, "logs", "--follow", "--json", "--group", group.name],
                               env=gateway.environment, stdout=subprocess.PIPE, text=True,
                               cwd=gateway.folder)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(
        json.loads(line) for line in process.stdout))
    reader.start()
    until(lambda: len(seen) == 1, "the row that was there")
    for n in range(2, 6):
        gateway.ask(group)
        until(lambda n=n: len(seen) == n, f"row {n}")
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    reader.join(20)
    process.stdout.close()
    assert len({row["id"] for row in seen}) == 5


# --- backup, restore ---


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_a_backup_under_traffic_is_of_one_moment(start_gateway, provider, tmp_path):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.api.set(request_log_write_interval_minutes=0)
    stop = threading.Event()

    def traffic():
        while not stop.is_set():
            gateway.ask(group)
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        until(lambda: len(group.logs()) > 20, "there are rows")
        copy = tmp_path / "copy.db"
        done = gateway.command("backup", str(copy))
        assert done.returncode == 0, done.stderr
    finally:
        stop.set()
        thread.join()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db"]
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows, counted = database.execute(
            "SELECT count(*), (SELECT sum(success_count) FROM group_hourly_stats) "
            "FROM request_logs").fetchone()
    database.close()
    assert rows == counted > 20
    again = gateway.command("backup", str(copy))
    assert again.returncode == 1 and "there already" in again.stderr
    assert gateway.command("backup", str(copy), "--replace").returncode == 0


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_a_backup_does_not_replace_the_database_in_use(gateway, tmp_path):
    database = gateway.data / "gpt-load.db"
    before = database.stat().st_ino
    (tmp_path / "other-name").symlink_to(database)
    for name in (database, tmp_path / "other-name"):
        done = gateway.command("backup", str(name), "--replace")
        assert (done.returncode, "the database itself" in done.stderr) == (1, True)
    assert database.stat().st_ino == before
    assert not list(gateway.data.glob("*.part"))


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_a_backup_is_put_back_and_every_pool_notices(start_gateway, provider, tmp_path):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-before"])
    assert gateway.ask(group).status == 200
    group.logs(1)
    copy = tmp_path / "copy.db"
    assert gateway.command("backup", str(copy)).returncode == 0
    gateway.command("keys", "delete", group.name, "--all", "--yes")
    gateway.command("import", group.name, input="sk-after")
    alive = gateway.command("restore", str(copy), "--yes")
    assert alive.returncode == 1 and "stop" in alive.stderr
    gateway.stop_web()
    gateway.stop_master()
    unsaid = gateway.command("restore", str(copy), stdin=subprocess.DEVNULL)
    assert unsaid.returncode == 2
    done = gateway.command("restore", str(copy), "--yes")
    assert done.returncode == 0, done.stderr
    assert not list(gateway.data.glob("*.restore*"))
    provider.forget()
    gateway.start()
    assert gateway.ask(group).status == 200
    assert provider.keys == ["sk-before"]
    assert len(group.logs(2)) == 2


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_a_folder_that_is_a_symbolic_link_is_backed_up_too(start_gateway, tmp_path):
    gateway = start_gateway(workers=1, web_server=False)
    gateway.stop_master()
    elsewhere, link = tmp_path / "elsewhere", tmp_path / "link"
    gateway.data.rename(elsewhere)
    gateway.data.symlink_to(elsewhere)
    (tmp_path / "copies").mkdir()
    link.symlink_to(tmp_path / "copies")
    done = gateway.command("backup", str(link / "copy.db"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copies" / "copy.db").stat().st_size > 0
    done = gateway.command("restore", str(link / "copy.db"), "--yes")
    assert done.returncode == 0, done.stderr


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_a_restore_that_is_killed_leaves_the_one_or_the_other(start_gateway, provider, tmp_path):
    gateway = start_gateway(workers=1, web_server=False)
    gateway.stop_master()
    body = {"name": "g", "channel_type": "openai", "test_model": "m",
            "upstreams": [{"url": provider.origin, "weight": 1}]}
    assert gateway.command("groups", "create", input=json.dumps(body)).returncode == 0
    gateway.command("import", "g", input="\n".join(f"sk-old-{n}" for n in range(3000)))
    copy = tmp_path / "copy.db"
    assert gateway.command("backup", str(copy)).returncode == 0
    gateway.command("keys", "delete", "g", "--all", "--yes")
    gateway.command("import", "g", input="\n".join(f"sk-new-{n}" for n in range(3000)))
    seen = set()
    for part in range(8):
        process = subprocess.Popen([COMMAND, "restore", str(copy), "--yes"],
                                   env=gateway.environment, cwd=gateway.folder)
        try:
            process.wait(0.1 + 0.08 * part)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        keys = gateway.command("export", "g").stdout.split()
        assert len(keys) == 3000
        seen.add(keys[0][:6])
        assert {key[:6] for key in keys} in ({"sk-old"}, {"sk-new"})
    assert seen <= {"sk-old", "sk-new"}


@pytest.mark.only_on("sqlite", "a server has its own tools")
def test_what_is_no_backup_of_ours_changes_nothing(start_gateway, provider, tmp_path):
    gateway = start_gateway(workers=1, web_server=False, ENCRYPTION_KEY="a-Long-Passphrase-123456")
    gateway.stop_master()
    before = gateway.query("SELECT value FROM gptl_meta WHERE name = 'installation_id'")
    (tmp_path / "text").write_text("no database")
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE notes (id integer)")
    database.close()
    for name, code in (("text", 2), ("other.db", 2)):
        done = gateway.command("restore", str(tmp_path / name), "--yes")
        assert done.returncode == code, done.stderr
    assert gateway.query("SELECT value FROM gptl_meta WHERE name = 'installation_id'") == before


@pytest.mark.only_on("sqlite", "the servers are the test's own")
@pytest.mark.parametrize("kind, backup, restore", [
    (MariaDB, "mariadb-dump --single-transaction", "mariadb --socket="),
    (PostgreSQL, "pg_dump --format=custom", "pg_restore --clean"),
])
def test_a_server_is_backed_up_by_its_own_tool(start_gateway, provider, tmp_path, kind, backup,
                                               restore):
    with kind() as engine:
        gateway = start_gateway(workers=1, DATABASE_DSN=engine.new_database())
        group = gateway.api.create_group(provider.origin, keys=["sk-before"])
        file = tmp_path / "dump"
        done = gateway.command("backup", str(file))
        assert done.returncode == 1 and backup in done.stdout
        # The line works as it stands; here there is no password to be asked for.
        line = done.stdout.strip().replace(" --password ", " ")
        subprocess.run(["sh", "-c", line], check=True, timeout=60)
        gateway.command("keys", "delete", group.name, "--all", "--yes")
        gateway.command("import", group.name, input="sk-after")
        gateway.stop_web()
        gateway.stop_master()
        done = gateway.command("restore", str(file))
        assert done.returncode == 1 and restore in done.stdout
        assert "--refill" in done.stderr
        subprocess.run(["sh", "-c", done.stdout.strip().replace(" --password ", " ")], check=True,
                       timeout=60)
        done = gateway.command("restore", "--refill")
        assert done.returncode == 0, done.stderr
        provider.forget()
        gateway.start()
        assert gateway.ask(group).status == 200
        assert provider.keys == ["sk-before"]


@pytest.mark.only_on("sqlite", "the DSN is the test's own")
def test_no_password_in_the_line_for_a_tool(start_gateway):
    gateway = start_gateway(workers=1, web_server=False)
    for dsn in ("user:hidden-word@tcp(db.example:3307)/name?charset=utf8mb4",
                "postgres://user:hidden-word@db.example:5433/name?sslmode=require",
                "postgres://user@db.example/name?password=hidden-word"):
        gateway.set_environment(DATABASE_DSN=dsn)
        done = gateway.command("backup", "/tmp/x")
        assert done.returncode == 1
        assert "hidden-word" not in done.stdout + done.stderr
        assert "db.example" in done.stdout and "name" in done.stdout


def test_root_writes_as_the_owner_of_the_data(start_gateway, tmp_path):
    """What it makes can be used by the gateway afterwards."""
    gateway = start_gateway(workers=1, web_server=False)
    owners = {p.stat().st_uid for p in pathlib.Path(gateway.data).rglob("*")}
    assert gateway.command("groups").returncode == 0
    assert {p.stat().st_uid for p in pathlib.Path(gateway.data).rglob("*")} == owners
