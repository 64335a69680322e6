# SPDX-License-Identifier: MIT
"""`make install`: what it lays and takes out again, the units of systemd, log rotation
by logrotate."""

import gzip
import json
import os
import pwd
import re
import shutil
import subprocess
import threading

import pytest

from lib import fcgi
from lib.gateway import AUTH_KEY, BUILD, COMMAND, ROOT, children
from lib.install import Service, Unit, files_below, make
from lib.load import load
from lib.wait import until

pytestmark = pytest.mark.only_on("sqlite", "what is installed is the same for every database")

SERVICES = ("gpt-load", "gpt-load-api", "gpt-load-jobs")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    make("install", prefix=folder)
    return folder


def test_every_script_of_the_page_is_there_compressed(tmp_path):
    """Also one that an older page left there, before there was any compressed."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "Older-x1.js").write_text("// older\n" * 100)
    make("install-page", pagedir=tmp_path)
    plain = [file for file in assets.iterdir() if file.suffix in (".js", ".css")]
    assert len(plain) > 10
    for file in plain:
        assert gzip.decompress((assets / f"{file.name}.gz").read_bytes()) == file.read_bytes()
    assert not list(tmp_path.glob("*.gz"))


@pytest.fixture(scope="module")
def units(prefix):
    return prefix / "lib" / "systemd" / "system"


# --- install and uninstall ---


def test_destdir_and_prefix_are_honoured_and_uninstall_leaves_nothing(tmp_path):
    variables = {"DESTDIR": tmp_path, "prefix": "/opt/x", "sysconfdir": "/etc/y",
                 "localstatedir": "/var"}
    make("install", **variables)
    files = files_below(tmp_path)
    assert {"opt/x/bin/gpt-load", "opt/x/libexec/gpt-load/gpt-load.fcgi",
            "opt/x/libexec/gpt-load/api.fcgi", "opt/x/libexec/gpt-load/serve",
            "opt/x/share/gpt-load/static/index.html", "etc/y/gpt-load/gpt-load.env",
            "opt/x/share/gpt-load/conf-examples/lighttpd.conf",
            "opt/x/lib/systemd/system/gpt-load.service", "etc/y/logrotate.d/gpt-load",
            "opt/x/share/doc/gpt-load/install.md"} <= set(files)
    assert {name.split("/")[0] for name in files} == {"etc", "opt"}
    for name in files:
        text = (tmp_path / name).read_bytes()
        assert str(tmp_path).encode() not in text, name
        # What is compiled or compressed may have such bytes; the last keeps one for its user.
        if not any(part in name for part in ("bin/", "libexec/", "static/", "shared-hosting")):
            assert not re.search(rb"@[a-z_]+@", text), name
    service = Unit(tmp_path / "opt/x/lib/systemd/system/gpt-load.service")
    assert service.one("Service", "ExecStart") == "/opt/x/libexec/gpt-load/gpt-load.fcgi --listen -"
    assert service.one("Service", "StateDirectory") == "gpt-load"
    make("uninstall", **variables)
    assert files_below(tmp_path) == []


def test_a_configuration_survives_a_second_install_and_uninstall(tmp_path):
    make("install", prefix=tmp_path)
    file = tmp_path / "etc" / "gpt-load" / "gpt-load.env"
    assert file.stat().st_mode & 0o777 == 0o640
    assert f"#DATA_DIR={tmp_path}/var/lib/gpt-load\n" in file.read_text()
    file.write_text("PORT=4000\n")
    make("install", prefix=tmp_path)
    assert file.read_text() == "PORT=4000\n"
    make("uninstall", prefix=tmp_path)
    assert files_below(tmp_path) == ["etc/gpt-load/gpt-load.env"]


def test_an_upgrade_replaces_files_it_does_not_write_into_them(tmp_path):
    """Else a program that runs, or is being started, finds half a file."""
    make("install", prefix=tmp_path)
    names = ("bin/gpt-load", "libexec/gpt-load/gpt-load.fcgi",
             "share/gpt-load/static/index.html")
    before = {name: open(tmp_path / name, "rb") for name in names}
    begun = {name: os.fstat(file.fileno()) for name, file in before.items()}
    make("install", prefix=tmp_path)
    for name, file in before.items():
        now = (tmp_path / name).stat()
        assert now.st_ino != begun[name].st_ino, name
        assert file.read() == (tmp_path / name).read_bytes()
        file.close()


def test_the_licences_of_what_the_page_is_made_of_go_with_it(prefix):
    text = (prefix / "share/gpt-load/static/licenses.txt").read_text()
    named = set(re.findall(r"^## (\S+) - ", text, re.MULTILINE))
    used = set(json.loads((ROOT / "static/package.json").read_text())["dependencies"])
    assert used - {"vue"} | {"@vue/runtime-dom"} <= named
    assert text.count("Permission is hereby granted") >= len(named)


def test_make_check_skips_what_the_machine_has_no_server_for(tmp_path):
    """cmocka says "not ok" of what skips itself."""
    names = ("test_node", "test_pool_redis")
    make(*(f"tests/unit/{name}" for name in names))
    for word in ("sh", "sed"):
        (tmp_path / word).symlink_to(shutil.which(word))
    for name in names:
        done = subprocess.run([tmp_path / "sh", ROOT / "build-aux/cmocka-tap.sh",
                               BUILD / "tests/unit" / name], check=True, text=True, timeout=60,
                              capture_output=True,
                              # What skips jumps away from what it has allocated.
                              env={"PATH": str(tmp_path), "CMOCKA_MESSAGE_OUTPUT": "TAP",
                                   "ASAN_OPTIONS": "detect_leaks=0"})
        assert re.search(r"^(ok \d+|1\.\.0) # SKIP ", done.stdout, re.MULTILINE)
        assert "not ok" not in done.stdout


def test_make_check_fails_with_the_program(tmp_path):
    for code in (0, 1, 77, 139):
        done = subprocess.run(["sh", ROOT / "build-aux/cmocka-tap.sh", "sh", "-c",
                               f"echo 'not ok 1 - it'; exit {code}"], text=True, timeout=60,
                              capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (code, "not ok 1 - it\n")


# --- systemd ---


def test_the_units_are_what_systemd_reads(prefix, units):
    names = sorted(path.name for path in units.iterdir())
    assert names == ["gpt-load-api.service", "gpt-load-api.socket", "gpt-load-jobs.service",
                     "gpt-load-jobs.timer", "gpt-load.service", "gpt-load.socket"]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *(units / n for n in names)],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"})
    ours = [line for line in done.stderr.splitlines() if "gpt-load" in line]
    assert done.returncode == 0 and ours == [], done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_hardened(units, name):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           units / f"{name}.service"], capture_output=True, text=True,
                          timeout=60, check=True)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(found[1]) < 2.0, done.stdout


def test_the_services_have_the_same_walls(units):
    """One that is lower would be the way in. The two that do background work may say besides
    that it can be kept waiting."""
    walls = [{key: value for key, value in Unit(units / f"{name}.service").values.items()
              if re.match(r"Protect|Private|Restrict|NoNew|Cap|System|Memory|Lock|User|Group|"
                          r"UMask|State|ReadWrite", key[1])} for name in SERVICES]
    for name, wall in zip(SERVICES, walls):
        if name in ("gpt-load", "gpt-load-jobs"):
            wall["Service", "SystemCallFilter"].remove("sched_setattr")
    assert walls[0] == walls[1] == walls[2] and len(walls[0]) > 20


@pytest.fixture
def services(prefix, units, tmp_path):
    """Both services, as their units say."""
    environment = {"DATA_DIR": str(tmp_path / "data"), "AUTH_KEY": AUTH_KEY}
    (tmp_path / "run").mkdir()
    found = [Service(units, name, tmp_path / "run" / at, environment, tmp_path / f"{name}.log")
             for name, at in (("gpt-load", "responder.sock"), ("gpt-load-api", "api.sock"))]
    for one in found:
        one.listen().start()
    yield found
    for one in found:
        one.end()
    text = "".join(one.log.read_text() for one in found)
    assert "Sanitizer" not in text and AUTH_KEY not in text


def get(service, target):
    return fcgi.request(service.at, "GET", target, {"Authorization": f"Bearer {AUTH_KEY}"})


def test_the_units_serve_reload_and_restart(services):
    responder, api = services
    got = get(api, "/api/groups")
    assert (got.status, got.json()["data"]) == (200, [])
    assert get(responder, "/proxy/none/x").status == 404
    before = set(children(responder.process.pid))
    responder.reload()
    until(lambda: before.isdisjoint(children(responder.process.pid)), "others serve")
    assert get(responder, "/proxy/none/x").status == 404
    for one in services:
        one.stop()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(get(one, "/proxy/none/x").status))
        asking.start()  # while nothing runs: it waits in the socket
        one.start()
        asking.join(20)
        assert answers == [404]


def test_restarts_under_load_lose_no_request(services):
    responder, _ = services
    with load(lambda: get(responder, "/proxy/none/x").status) as answers:
        for _ in range(4):
            responder.stop()
            responder.start()
            count = len(answers)
            until(lambda: len(answers) > count + 20, "requests go on")
    assert set(answers) == {404}


def test_the_timer_s_service_does_a_round(units, tmp_path):
    command = Unit(units / "gpt-load-jobs.service").one("Service", "ExecStart").split()
    done = subprocess.run(command, env={"DATA_DIR": str(tmp_path), "AUTH_KEY": AUTH_KEY},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "gpt-load.db").exists()


# --- logs ---


def test_logrotate_loses_no_line(prefix, tmp_path):
    """The real logrotate, again and again, while lines are written."""
    data = tmp_path / "data"
    me = pwd.getpwuid(os.geteuid())
    conf = (prefix / "etc" / "logrotate.d" / "gpt-load").read_text()
    assert f"{prefix}/var/lib/gpt-load/logs/*.log" in conf
    conf = conf.replace(f"{prefix}/var/lib/gpt-load", str(data))
    conf = conf.replace("su gpt-load gpt-load", f"su {me.pw_name} {pwd_group(me)}")
    file = tmp_path / "logrotate.conf"
    file.write_text(conf)
    file.chmod(0o600)
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(data), "AUTH_KEY": AUTH_KEY,
                   "LOG_ENABLE_FILE": "true"}
    subprocess.run([COMMAND, "prepare"], env=environment, check=True, capture_output=True)
    logger = subprocess.Popen([COMMAND, "log", "writer"], env=environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    logs = data / "logs"
    number = 0
    for turn in range(1, 5):
        begun = number
        while number < begun + 50 or not (logs / "app.log").exists():
            number += 1
            logger.stdin.write(f"line {number} of the test\n")
            logger.stdin.flush()
            assert number < 5_000_000
        written(logs, number)
        subprocess.run([shutil.which("logrotate", path="/usr/sbin:/usr/bin"), "-f", "-s",
                        tmp_path / "state", file], check=True, capture_output=True, timeout=60)
        assert (logs / "app.log.1").exists()
        assert len(list(logs.glob("app.log.*"))) == turn
    logger.stdin.close()
    assert logger.wait(20) == 0
    assert lines(logs) == list(range(1, number + 1))
    assert list(logs.glob("app.log.*.gz"))
    assert (logs / "app.log.1").stat().st_mode & 0o777 == 0o600


def pwd_group(user):
    import grp
    return grp.getgrgid(user.pw_gid).gr_name


def lines(logs):
    text = ""
    for path in logs.iterdir():
        text += (gzip.open(path, "rt") if path.suffix == ".gz" else open(path)).read()
    return sorted(int(number) for number in re.findall(r"line (\d+) of the test", text))


def written(logs, number):
    until(lambda: lines(logs)[-1:] == [number], "the last line is in the file")


