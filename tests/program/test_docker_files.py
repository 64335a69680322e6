# SPDX-License-Identifier: MIT
"""conf-examples/docker/compose.yaml: what `docker-compose config`, which needs no engine,
makes of it, as it stands and with each of its services taken in; and each DSN in it
against a real server, reached over TCP. (The Dockerfile's steps: test_package_trees.py.)"""

import os
import re
import subprocess

import pytest
import yaml

from lib.engines import MariaDB, PostgreSQL, Redis, find
from lib.gateway import AUTH_KEY, COMMAND, ROOT
from lib.ports import free_port

pytestmark = pytest.mark.only_on("sqlite", "a file, and databases of its own")

FILE = ROOT / "conf-examples" / "docker" / "compose.yaml"
PASSWORD = "Secret0of1the2server"
# The file .env beside it.
DOTENV = {"AUTH_KEY": AUTH_KEY, "MYSQL_PASSWORD": PASSWORD, "POSTGRES_PASSWORD": PASSWORD}
SERVERS = ("mysql", "postgres", "redis")
VARIANTS = [(), ("mysql",), ("postgres",), ("redis",), ("mysql", "redis"), ("postgres", "redis")]


def with_services(names):
    """The file with the '#' taken off, as the comment at its head says it."""
    lines, inside = [], False
    for line in FILE.read_text().splitlines():
        plain = re.sub(r"^( *)# ", r"\1", line)
        service = re.fullmatch(r"  # (\w+):", line)
        if service:
            inside = service[1] in names
        elif not line.startswith("  #   "):
            inside = False
        of = re.search(r"[@/(](\w+):\d+[/)]", line) if re.match(r" +# \w+_DSN: ", line) else \
            re.match(r" +#   (\w+): \{condition", line)
        taken = inside or (of and of[1] in names) or (line.endswith("# depends_on:") and names)
        lines.append(plain if taken else line)
    return "\n".join(lines) + "\n"


def configured(names, folder):
    """The whole, as Compose sees it."""
    folder.joinpath("compose.yaml").write_text(with_services(names))
    folder.joinpath(".env").write_text("".join(f"{n}={v}\n" for n, v in DOTENV.items()))
    done = subprocess.run([find("docker-compose"), "config"], cwd=folder, text=True,
                          capture_output=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": str(folder)})
    assert done.returncode == 0 and "variable is not set" not in done.stderr, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.mark.parametrize("names", VARIANTS, ids=lambda names: "-".join(names) or "alone")
def test_compose_takes_it(names, tmp_path):
    whole = configured(names, tmp_path)
    assert set(whole["services"]) == {"gpt-load", *names}
    gateway = whole["services"]["gpt-load"]
    sample = (ROOT / ".env.example").read_text()
    assert set(gateway["environment"]) <= set(re.findall(r"^#([A-Z_]+)=", sample, re.MULTILINE))
    assert gateway["environment"]["AUTH_KEY"] == AUTH_KEY
    assert set(gateway.get("depends_on", {})) == set(names)
    for name, service in whole["services"].items():
        mounted = {volume.split(":")[0] for volume in service["volumes"]}
        assert mounted <= set(whole["volumes"]), name
        assert name == "gpt-load" or service["healthcheck"]["test"]
    assert set(whole["volumes"]) == {"data", *names}


def test_what_it_says_of_the_image_is_so(tmp_path):
    """The port, the folder of the volume, the time to stop, the Dockerfile."""
    gateway = configured((), tmp_path)["services"]["gpt-load"]
    image = (FILE.parent / "Dockerfile").read_text()
    assert gateway["build"]["dockerfile"] == str((FILE.parent / "Dockerfile").relative_to(ROOT))
    assert (FILE.parent / yaml.safe_load(FILE.read_text())["services"]["gpt-load"]["build"]
            ["context"]).resolve() == ROOT
    (port,) = gateway["ports"]
    assert f"\nEXPOSE {port['target']}\n" in image and f"PORT={port['target']}" in image
    (volume,) = gateway["volumes"]
    folder = volume.split(":")[1]
    assert f"\nVOLUME {folder}\n" in image and f"DATA_DIR={folder} " in image
    drain = re.search(r"^#SERVER_GRACEFUL_SHUTDOWN_TIMEOUT=(\d+)",
                      (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert int(gateway["stop_grace_period"].rstrip("s")) > int(drain[1])


# --- the servers, set up as their images are by what stands in the file ---


def mysql(service, port, _):
    environment = service["environment"]
    one = MariaDB("--skip-networking=0", f"--port={port}", "--bind-address=127.0.0.1")
    one.query(f"""CREATE DATABASE `{environment['MYSQL_DATABASE']}`;
        CREATE USER '{environment['MYSQL_USER']}'@'%'
            IDENTIFIED BY '{environment['MYSQL_PASSWORD']}';
        GRANT ALL ON `{environment['MYSQL_DATABASE']}`.* TO '{environment['MYSQL_USER']}'@'%'""")
    return one


def postgres(service, port, monkeypatch):
    environment = service["environment"]
    monkeypatch.setenv("PGPORT", str(port))  # for the engine's own client
    one = PostgreSQL("-c", "listen_addresses=127.0.0.1", "-c", f"port={port}")
    one.query(f"""CREATE ROLE "{environment['POSTGRES_USER']}" SUPERUSER LOGIN
        PASSWORD '{environment['POSTGRES_PASSWORD']}'""")
    one.query(f"""CREATE DATABASE "{environment['POSTGRES_USER']}" """)
    (one.folder / "data" / "pg_hba.conf").write_text(
        "local all all trust\nhost all all all scram-sha-256\n")
    one.query("SELECT pg_reload_conf()")
    return one


def redis(service, port, _):
    words = service["command"].split()
    assert words[0] == "redis-server"
    return Redis("--port", str(port), *words[1:])


@pytest.mark.parametrize("name, start, variable, port", [
    ("mysql", mysql, "DATABASE_DSN", 3306), ("postgres", postgres, "DATABASE_DSN", 5432),
    ("redis", redis, "REDIS_DSN", 6379)], ids=SERVERS)
def test_its_servers_are_what_the_programs_take(tmp_path, monkeypatch, name, start, variable, port):
    services = configured((name,), tmp_path)["services"]
    environment = dict(services["gpt-load"]["environment"], DATA_DIR=str(tmp_path / "data"))
    mine = free_port()
    changed, n = re.subn(rf"\b{name}:{port}\b", f"127.0.0.1:{mine}", environment[variable])
    assert n == 1
    environment[variable] = changed
    with start(services[name], mine, monkeypatch):
        for command in ("prepare", "check-config"):
            done = subprocess.run([COMMAND, command], env=environment, text=True, timeout=60,
                                  capture_output=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    kind = {"mysql": "MySQL", "postgres": "PostgreSQL", "redis": "SQLite"}[name]
    assert kind in done.stdout, done.stdout
