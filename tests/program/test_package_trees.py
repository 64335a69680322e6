# SPDX-License-Identifier: MIT
"""Installing as docs/install.md says it, each in a clean Debian of its own: the release
tarball, the package behind the server it finds, and the steps of the Dockerfile. No
systemd runs there, and no Docker engine: what they would do is done from their files."""

import gzip
import io
import os
import pathlib
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import tarfile

import pytest

from lib.api import Api
from lib.client import Client
from lib.gateway import BUILD, ROOT
from lib.hosting import HOST_CONF
from lib.install import Service, make
from lib.load import load
from lib.ports import free_port
from lib.provider import Stream, answer, sse
from lib.tree import ENVIRONMENT, Tree
from lib.wait import until

pytestmark = [pytest.mark.scale, pytest.mark.timeout(2400)]

# Who gives the package to others, said as Debian's tools take it.
PUBLISHER = ("Publisher & Sons", "packages@example.org")


@pytest.fixture(scope="module")
def base():
    tree = Tree()
    yield tree
    tree.remove()


@pytest.fixture(scope="module")
def tarball():
    make("dist")
    (found,) = BUILD.glob("gpt-load-*.tar.xz")
    return found


def documented(section):
    """The commands of a section of docs/install.md, each to succeed."""
    text = (ROOT / "docs" / "install.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", part, re.DOTALL)).replace("\\\n", " ")
    return "\n".join(f"{{ {line.partition(' #')[0]}; }} || exit 1"
                     for line in lines.splitlines() if line)


@pytest.fixture(scope="module")
def built(base, tarball):
    """The tarball's own steps, and the package, in a tree without Node.js."""
    tree = Tree(base)
    shutil.copy(tarball, tree / "root")
    steps = documented("From the tarball")
    steps = steps.replace("apt-get install ", "apt-get install -y -qq libcmocka-dev ")
    steps = steps.replace("make &&", "make -j2 &&")
    (tree / "root/steps").write_text("cd /root\nset -x\n" + steps)
    try:
        done = tree.run("sh /root/steps", timeout=1800)
        tree.done = done.stdout + done.stderr
        yield tree
    finally:
        tree.remove()


@pytest.fixture(scope="module")
def package(built):
    built.install("debhelper")
    steps = documented("Debian package").splitlines()
    build = next(line for line in steps if "make deb" in line)
    built.run(f"cd /root/gpt-load-*/ && {build}", timeout=1800,
              DEBFULLNAME=PUBLISHER[0], DEBEMAIL=PUBLISHER[1])
    (found,) = (built / "root").glob("gpt-load-*/gpt-load_*.deb")
    return found


@pytest.fixture
def tree(base, request):
    one = Tree(base)
    yield one
    one.remove()


class Site:
    """What answers on a port of this machine, whoever runs it."""

    def __init__(self, port, key, folder=""):
        self.client = Client("127.0.0.1", port)
        plain = self.client.send
        self.client.send = lambda method, target, *a, **k: plain(method, folder + target, *a, **k)
        self.api = Api(self.client, key)
        self.headers = {"Authorization": f"Bearer {key}"}

    def wait(self, process, log):
        def healthy():
            assert process.poll() is None, pathlib.Path(log).read_text()
            try:
                return self.client.request("GET", "/health").status == 200
            except OSError:
                return False
        until(healthy, "/health answers 200", 60)

    def ask(self, group):
        return self.client.request("POST", group.path("/v1/chat/completions"), self.headers,
                                   json={})

    def check(self, provider):
        """A request, a stream, the page, no state: the ends of every way to serve."""
        provider.on(answer(json={"a": 1}), path="/v1/chat/completions")
        group = self.api.create_group(provider.origin, keys=["sk-up"])
        got = self.ask(group)
        assert (got.status, got.json()) == (200, {"a": 1})
        assert provider.last.header("authorization") == "Bearer sk-up"
        stream = provider.on(Stream(), path="/v1/stream")
        stream.send(sse("one"))
        with self.client.open("POST", group.path("/v1/stream"), self.headers, json={}) as got:
            events = got.events()
            assert next(events)[0] == sse("one")
            stream.send(sse("two"))
            assert next(events)[0] == sse("two")
            stream.end()
        group.logs(2)
        page = self.client.request("GET", "/groups")
        assert page.status == 200 and "<!doctype html>" in page.text.lower()
        assert self.client.request("GET", "/api/groups").status == 401
        return group


def end(process, log, sign=signal.SIGTERM):
    process.send_signal(sign)
    code = process.wait(45)
    assert code in (0, -signal.SIGTERM, 128 + signal.SIGTERM), (code, log.read_text())


# --- the release tarball ---


def test_the_release_tarball_without_node(built, provider, tmp_path):
    assert built.run("command -v node npm autoconf", check=False).returncode != 0
    results = re.findall(r"^# (PASS|FAIL|ERROR|SKIP): +(\d+)", built.done, re.MULTILINE)
    counts = {name: int(number) for name, number in results}
    assert counts["PASS"] > 100 and counts["FAIL"] == counts["ERROR"] == 0, counts
    assert counts["SKIP"] > 0  # there is no database server
    built.install("lighttpd", "curl")
    port, log = free_port(), tmp_path / "serve.log"
    served = built.spawn("exec /usr/local/libexec/gpt-load/serve", log, HOST="127.0.0.1",
                         PORT=str(port))
    key = built / "var/lib/gpt-load/auth_key"
    until(lambda: key.exists() and key.read_text().endswith("\n"), "the key is made", 60)
    site = Site(port, key.read_text().strip())
    site.wait(served, log)
    site.check(provider)
    owner = built.id("passwd", "gpt-load")
    assert {path.stat().st_uid for path in (built / "var/lib/gpt-load").iterdir()} == {owner}
    end(served, log)
    assert site.api.auth_key in log.read_text()  # printed once, by the first start


# --- shared hosting ---


def test_shared_hosting_from_the_tarball(built, provider, tmp_path):
    """The commands for a user who has a home and .htaccess; plain CGI."""
    built.install("apache2", "libapache2-mod-fcgid", "mime-support")
    built.run("useradd -m user && chmod 711 /home/user && cd /home/user && "
              "cp -a /root/gpt-load-*/ source && mkdir -p public_html host/fcgid && "
              "chown -R user:user .")
    steps = "HOME=/home/user; cd ~/source\n" + documented("Shared hosting")
    done = subprocess.run([*built.within("user"), "sh", "-c", steps], capture_output=True,
                          text=True, timeout=900, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    port = free_port()
    conf = HOST_CONF.format(run="/home/user/host", home="/home/user", port=port)
    (built / "home/user/host/host.conf").write_text(conf)
    log = tmp_path / "apache.log"
    with open(log, "ab") as out:
        apache = subprocess.Popen(
            [*built.within("user"), "apache2", "-D", "FOREGROUND", "-f",
             "/home/user/host/host.conf"], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out)
    key = (built / "home/user/gpt-load/var/lib/gpt-load/auth_key").read_text().strip()
    assert key in done.stdout
    site = Site(port, key, "/ai")
    try:
        site.wait(apache, log)
        group = site.check(provider)
        (cron,) = re.findall(r"^\* \* \* \* \* (.*)$", done.stdout, re.MULTILINE)
        site.ask(group)
        built.run("su user -s /bin/sh -c " + shlex.quote(cron))
        with sqlite3.connect(built / "home/user/gpt-load/var/lib/gpt-load/gpt-load.db") as rows:
            assert rows.execute("SELECT count(*) FROM request_logs").fetchone() == (3,)
    finally:
        end(apache, log)


# --- the Debian package ---

# How each server of Debian's is run in the foreground, and where its own port stands.
SERVERS = {
    "lighttpd": ("exec lighttpd -D -f /etc/lighttpd/lighttpd.conf",
                 "etc/lighttpd/lighttpd.conf", r"(server.port\s*= )80\b",
                 "etc/lighttpd/conf-available/60-gpt-load.conf"),
    "apache2": (". /etc/apache2/envvars; mkdir -p $APACHE_RUN_DIR $APACHE_LOCK_DIR; "
                "exec apache2 -D FOREGROUND",
                "etc/apache2/ports.conf", r"(Listen )80\b",
                "etc/apache2/conf-available/gpt-load.conf"),
}


class Packaged:
    """The package, installed in a tree beside a server, and started as its units say."""

    def __init__(self, tree, server, package, folder):
        self.tree = tree
        self.command, conf, port, self.ours = SERVERS[server]
        tree.install(server, "ca-certificates")  # which nobody would take out again
        self.before = tree.files()
        shutil.copy(package, tree / "root/gpt-load.deb")
        tree.run("apt-get install -y -qq --no-install-recommends /root/gpt-load.deb")
        self.own_port, self.port = free_port(), free_port()
        self.edit(conf, port, rf"\g<1>{self.own_port}")
        self.edit(self.ours, r"\b3001\b", str(self.port))
        self.log = folder / "web.log"
        self.services = [
            Service(tree / "lib/systemd/system", name, tree / f"run/gpt-load/{at}.sock", {}, folder
                    / f"{at}.log", tree.within("gpt-load"), self.owner())
            for name, at in (("gpt-load", "responder"), ("gpt-load-api", "api"))]
        self.web = None

    def edit(self, name, pattern, text):
        path = self.tree / name
        changed, n = re.subn(pattern, text, path.read_text())
        assert n >= 1, name
        path.write_text(changed)

    def owner(self):
        return self.tree.id("passwd", "gpt-load"), self.tree.id("group", "www-data")

    def start(self):
        (self.tree / "run/gpt-load").mkdir(exist_ok=True)
        for service in self.services:
            service.listen().start()
        self.web = self.tree.spawn(self.command, self.log)
        key = (self.tree / "var/lib/gpt-load/auth_key").read_text().strip()
        self.site = Site(self.port, key)
        self.site.wait(self.web, self.log)
        return self.site

    def stop(self):
        if self.web is not None:
            self.web.terminate()  # how it ends is Debian's affair
            self.web.wait(45)
            self.web = None
            for service in self.services:
                service.end()


def next_version(package, folder):
    """The same package with a higher number, as a new release would be."""
    subprocess.run(["dpkg-deb", "-R", package, folder / "next"], check=True)
    control = folder / "next" / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*", "Version: 99.0", control.read_text(),
                              flags=re.MULTILINE))
    (folder / "next" / "usr/share/gpt-load/static/new.txt").write_text("new\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", folder / "next",
                    folder / "next.deb"], check=True, capture_output=True)
    return folder / "next.deb"


def test_what_the_package_says_of_itself(package):
    fields = ("Version", "Maintainer")
    said = {name: subprocess.run(["dpkg-deb", "-f", package, name], check=True, text=True,
                                 capture_output=True).stdout.strip() for name in fields}
    version = re.search(r"AC_INIT\(\[gpt-load\],\[([^]]+)\]",
                        (ROOT / "configure.ac").read_text())[1]
    assert said == {"Version": version, "Maintainer": f"{PUBLISHER[0]} <{PUBLISHER[1]}>"}
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True,
                            capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(listed)) as files:
        log = gzip.decompress(files.extractfile(
            "./usr/share/doc/gpt-load/changelog.gz").read()).decode()
        assert log.startswith(f"gpt-load ({version}) ")
        assert "./usr/share/gpt-load/static/licenses.txt" in files.getnames()


@pytest.mark.parametrize("server", SERVERS)
def test_the_package_behind_the_server_it_finds(tree, package, provider, tmp_path, server):
    one = Packaged(tree, server, package, tmp_path)
    assert (tree / "etc/gpt-load/gpt-load.env").stat().st_mode & 0o777 == 0o640
    assert (tree / "var/lib/gpt-load").stat().st_mode & 0o777 == 0o700
    try:
        site = one.start()
        group = site.check(provider)
        # The server's own site is as it was.
        own = Client("127.0.0.1", one.own_port).request("GET", "/proxy/x/y")
        assert own.status == 404 and "code" not in own.text
        upgrade(one, site, group, next_version(package, tmp_path))
        assert no_log_has_the_key(one, site)
    finally:
        one.stop()
    tree.run("apt-get remove -y -qq gpt-load")
    assert not (tree / "usr/bin/gpt-load").exists()
    assert (tree / "var/lib/gpt-load/gpt-load.db").exists()
    web = tree.spawn(one.command, one.log)  # without us
    until(lambda: answers(one.own_port, web), "the server starts without the package")
    assert not answers(one.port, web)
    web.terminate()
    web.wait(45)
    tree.run("apt-get purge -y -qq gpt-load && apt-get autoremove -y -qq --purge")
    left = tree.files() - one.before - {"root/gpt-load.deb", "root/next.deb"}
    # The server's own modules may be somebody else's by now; what it, its tools and adduser
    # keep for themselves.
    theirs = (r"(etc/(apache2/mods|lighttpd/conf)-enabled/|var/lib/apache2/|etc/g?shadow-$|"
              r"etc/(passwd|group)-$|run/(adduser|apache2|lighttpd))(?!.*gpt-load)")
    left = {name for name in left if not re.match(theirs, name)}
    assert not left, sorted(left)[:20]
    assert not list((tree / "var/log").rglob("*gpt-load*"))
    for name in ("passwd", "group", "shadow"):
        assert "gpt-load" not in (tree / "etc" / name).read_text()


def test_the_package_brings_a_server_where_there_is_none(tree, package):
    """The documented command, with what the package recommends."""
    shutil.copy(package, tree / "root/gpt-load_1.deb")
    command = documented("Debian package").splitlines()[1]
    assert "./gpt-load_*.deb" in command
    tree.run(f"cd /root && {command}".replace("install ", "install -y -qq "))
    assert (tree / "etc/lighttpd/conf-enabled/60-gpt-load.conf").is_symlink()
    tree.run("lighttpd -tt -f /etc/lighttpd/lighttpd.conf")


def test_a_server_that_comes_after_the_package(tree, package):
    """As docs/install.md says: dpkg-reconfigure finds it."""
    shutil.copy(package, tree / "root/gpt-load.deb")
    done = tree.run("apt-get install -y -qq --no-install-recommends /root/gpt-load.deb")
    assert "dpkg-reconfigure gpt-load" in done.stdout
    tree.install("lighttpd")
    enabled = tree / "etc/lighttpd/conf-enabled/60-gpt-load.conf"
    assert not enabled.exists()
    tree.run("dpkg-reconfigure gpt-load")
    assert enabled.is_symlink()
    tree.run("lighttpd -tt -f /etc/lighttpd/lighttpd.conf")


def no_log_has_the_key(one, site):
    logs = [path.read_text(errors="replace") for path in (one.tree / "var/log").rglob("*")
            if path.is_file()] + [one.log.read_text()]
    logs += [service.log.read_text() for service in one.services]
    return not [text for text in logs if site.api.auth_key in text]


def answers(port, process):
    assert process.poll() is None
    try:
        return Client("127.0.0.1", port).request("GET", "/")
    except OSError:
        return None


def upgrade(one, site, group, package):
    """dpkg under load; what postinst tells systemd is done here. What the admin has
    changed stays, and so does the state."""
    file = one.tree / "etc/gpt-load/gpt-load.env"
    file.write_text(file.read_text() + "LOG_LEVEL=warn\n")
    shutil.copy(package, one.tree / "root/next.deb")
    with load(lambda: site.ask(group).status) as got:
        one.tree.run("dpkg -i /root/next.deb")
        for service in one.services:
            service.reload()
        count = len(got)
        until(lambda: len(got) > count + 40, "requests go on")
    assert set(got) == {200}, got
    assert "LOG_LEVEL=warn" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert site.client.request("GET", "/new.txt").text == "new\n"
    assert [found["id"] for found in site.api.call("GET", "/api/groups")] == [group.id]


# --- Docker ---


def stages(text):
    """The instructions of a Dockerfile: [(FROM's value, [(instruction, value)…])…]."""
    lines = re.sub(r"\\\n", " ", "\n".join(
        line for line in text.splitlines() if not line.startswith("#")))
    found = []
    for line in lines.splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "FROM":
            found.append((value, []))
        elif name:
            found[-1][1].append((name, value.strip()))
    return found


class Image:
    """One stage, built in a tree as Docker would."""

    def __init__(self, base, instructions, context, others):
        self.tree = Tree(base)
        self.folder, self.environment, self.command = "/", {}, None
        for name, value in instructions:
            getattr(self, name)(value, context, others)

    def RUN(self, value, *_):
        self.tree.run(f"cd {self.folder} && {value}".replace("apt-get install -y",
                                                             "apt-get install -y -qq"),
                      timeout=1800, **self.environment)

    def WORKDIR(self, value, *_):
        self.folder = value
        (self.tree / value).mkdir(parents=True, exist_ok=True)

    def COPY(self, value, context, others):
        origin = re.match(r"--from=(\w+) ", value)
        source, target = value.split()[-2:]
        root = others[origin[1]].tree / source if origin else context / source
        to = self.tree / (pathlib.PurePosixPath(self.folder) / target)
        subprocess.run(["cp", "-a", f"{root}/.", to], check=True)

    def ENV(self, value, *_):
        self.environment |= dict(word.split("=", 1) for word in shlex.split(value))

    def VOLUME(self, value, *_):
        (self.tree / value).mkdir()

    def EXPOSE(self, value, *_):
        self.port = int(value)

    def HEALTHCHECK(self, value, *_):
        self.health = re.split(r"\sCMD\s", value)[1].strip()

    def CMD(self, value, *_):
        self.command = shlex.join(re.findall(r'"([^"]*)"', value))


def test_the_steps_of_the_dockerfile(base, tarball, provider, tmp_path):
    subprocess.run(["tar", "-xf", tarball, "-C", tmp_path], check=True)
    (context,) = tmp_path.glob("gpt-load-*/")
    images = {}
    try:
        for origin, instructions in stages(
                (context / "conf-examples/docker/Dockerfile").read_text()):
            image, _, name = origin.partition(" AS ")
            assert image == "debian:bookworm-slim"
            images[name] = Image(base, instructions, context, images)
        run_image(images[""], provider, tmp_path / "docker.log")
    finally:
        for image in images.values():
            image.tree.remove()


def run_image(image, provider, log):
    assert image.port == int(image.environment["PORT"])
    port = free_port()
    environment = {**image.environment, "PORT": str(port), "HOST": "127.0.0.1"}
    served = image.tree.spawn(f"exec {image.command}", log, **environment)
    key = image.tree / "data/auth_key"
    until(lambda: key.exists() and key.read_text().endswith("\n"), "the key is made", 60)
    site = Site(port, key.read_text().strip())
    site.wait(served, log)
    group = site.check(provider)
    assert image.tree.run(image.health, **environment).returncode == 0
    end(served, log)  # docker compose restart
    assert image.tree.run(image.health, check=False, **environment).returncode != 0
    served = image.tree.spawn(f"exec {image.command}", log, **environment)
    site.wait(served, log)
    assert site.ask(group).status == 200
    assert "prepare" not in image.tree.run("gpt-load check-config", **environment).stderr
    for _ in range(2):
        image.tree.run("gpt-load backup /data/copy.db --replace", **environment)
    with sqlite3.connect(image.tree / "data/copy.db") as copy:
        assert copy.execute("SELECT name FROM groups").fetchall() == [(group.name,)]
    end(served, log)
    assert not os.path.exists(image.tree / "data/run/responder.sock")
