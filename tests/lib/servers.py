# SPDX-License-Identifier: MIT
"""The web servers, each with its file of conf-examples/ as it stands: how it is
started, which signal ends it gracefully, what it starts by itself."""

import pathlib
import re
import shutil
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "conf-examples"


def program(name):
    return shutil.which(name, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")


class Server:
    """starts_api, starts_responder: whether the server starts these by itself;
    logs_itself: whether it runs `gpt-load log` on its own messages."""

    def __init__(self, name, binary, file, graceful=signal.SIGTERM, starts_api=False,
                 starts_responder=False, logs_itself=False):
        self.name = name
        self.binary = program(binary)
        self.file = EXAMPLES / file
        self.graceful = graceful
        self.starts_api = starts_api
        self.starts_responder = starts_responder
        self.logs_itself = logs_itself

    def arguments(self, environment, data):
        """The command that serves, its values being in the environment."""
        raise NotImplementedError


class Lighttpd(Server):
    def arguments(self, environment, data):
        return [self.binary, "-D", "-f", self.file]


class Nginx(Server):
    def arguments(self, environment, data):
        filled = data / "run" / "nginx.conf"
        done = subprocess.run(["sh", EXAMPLES / "fill.sh"], stdin=open(self.file), check=True,
                              capture_output=True, env=environment)
        filled.write_bytes(done.stdout)
        filled.chmod(0o644)
        return [self.binary, "-e", "stderr", "-c", filled]


class Apache(Server):
    def arguments(self, environment, data):
        known = re.findall(r"^Use Pass (\w+)", self.file.read_text(), re.MULTILINE)
        given = [word for name in known if name in environment for word in ("-D", name)]
        return [self.binary, "-D", "FOREGROUND", *given, "-f", self.file]


class Caddy(Server):
    def arguments(self, environment, data):
        environment["XDG_DATA_HOME"] = environment["XDG_CONFIG_HOME"] = str(data / "caddy")
        return [self.binary, "run", "--adapter", "caddyfile", "--config", self.file]


SERVERS = {one.name: one for one in (
    Lighttpd("lighttpd", "lighttpd", "lighttpd.conf", starts_api=True,
             logs_itself=True),
    Nginx("nginx", "nginx", "nginx.conf", signal.SIGQUIT),
    Apache("apache-proxy", "apache2", "apache-proxy.conf", signal.SIGWINCH, logs_itself=True),
    Apache("apache-fcgid", "apache2", "apache-fcgid.conf", signal.SIGWINCH, starts_api=True,
           starts_responder=True, logs_itself=True),
    Caddy("caddy", "caddy", "Caddyfile"),
)}
