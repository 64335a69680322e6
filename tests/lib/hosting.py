# SPDX-License-Identifier: MIT
"""Shared hosting: an Apache that gives a user a home, .htaccess, plain CGI and
mod_fcgid, and nothing else. It runs as the user; or as hosts run it, as www-data, and
the programs as the user by Apache's own suEXEC (only root can start that)."""

import grp
import os
import pathlib
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from .api import Api
from .client import Client
from .gateway import ALARMS, AUTH_KEY, BUILD, NOBODY, children
from .ports import free_port
from .servers import program
from .wait import until

# What a host says, with Apache's and mod_fcgid's defaults; FOLDER's user may say the rest.
HOST_CONF = """
ServerRoot /usr/lib/apache2
ServerName host.example
PidFile {run}/apache.pid
DefaultRuntimeDir {run}
Listen 127.0.0.1:{port}
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule cgid_module modules/mod_cgid.so
LoadModule deflate_module modules/mod_deflate.so
LoadModule dir_module modules/mod_dir.so
LoadModule env_module modules/mod_env.so
LoadModule fcgid_module modules/mod_fcgid.so
LoadModule filter_module modules/mod_filter.so
LoadModule headers_module modules/mod_headers.so
LoadModule mime_module modules/mod_mime.so
LoadModule rewrite_module modules/mod_rewrite.so
LoadModule setenvif_module modules/mod_setenvif.so
TypesConfig /etc/mime.types
ScriptSock {run}/cgisock
FcgidIPCDir {run}/fcgid
FcgidProcessTableFile {run}/fcgid.shm
ErrorLog {run}/error.log
LogLevel warn
AddOutputFilterByType DEFLATE text/html text/plain application/json text/event-stream
DocumentRoot {home}/public_html
Alias /~me {home}/elsewhere
<Directory />
	Require all denied
	AllowOverride None
	Options None
</Directory>
<Directory {home}/public_html>
	Require all granted
	Options SymLinksIfOwnerMatch
	AllowOverride FileInfo Options=ExecCGI
</Directory>
<Directory {home}/elsewhere>
	Require all granted
	Options SymLinksIfOwnerMatch
	AllowOverride FileInfo Options=ExecCGI
</Directory>
"""


SUEXEC_CONF = """
LoadModule suexec_module modules/mod_suexec.so
User www-data
Group www-data
SuexecUserGroup {user} {group}
"""
# What Debian's suEXEC runs programs below of.
SUEXEC_FOLDER = "/var/www"


class Host:
    """A user's account: start() … stop(). The site's folder is public_html/ai. `dsn`: the
    host's database, told to the user."""

    def __init__(self, handler, suexec=False, dsn=None):
        self.handler = handler
        self.suexec = suexec
        self.dsn = dsn
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="gpt-load-home-",
                                                  dir=SUEXEC_FOLDER if suexec else None))
        self.home.chmod(0o711)
        self.run = self.home / "host"
        self.folder = self.home / "public_html" / "ai"
        self.prefix = self.home / "gpt-load"
        self.user = {}
        for path in (self.run, self.run / "fcgid", self.folder.parent):
            path.mkdir()
        if os.geteuid() == 0:
            self.user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        if suexec:  # as many hosts have it, so that Apache reads what the user lays there
            os.chown(self.folder.parent, NOBODY, grp.getgrnam("www-data").gr_gid)
            self.folder.parent.chmod(0o2750)
            os.chown(self.run / "fcgid", pwd.getpwnam("www-data").pw_uid, NOBODY)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        self.port = free_port()
        self.apache = None
        self.client = Client("127.0.0.1", self.port)
        self.api = Api(Client("127.0.0.1", self.port), AUTH_KEY)
        plain = self.api.client.send
        self.api.client.send = lambda method, target, *a, **k: plain(method, "/ai" + target,
                                                                     *a, **k)

    def shell(self, command, check=True):
        """What the user types."""
        done = subprocess.run(["sh", "-c", command], cwd=self.home, env=self.environment,
                              capture_output=True, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, **self.user)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    def make(self, *targets, check=True, **variables):
        words = [f"{name}={value}" for name, value in variables.items()]
        return self.shell(shlex.join(["make", "-s", "-C", str(BUILD), *targets,
                                      f"prefix={self.prefix}", *words]), check)

    @property
    def configuration(self):
        return self.prefix / "etc" / "gpt-load" / "gpt-load.env"

    def install(self):
        self.make("install")
        with open(self.configuration, "a") as file:
            file.write(f"AUTH_KEY={AUTH_KEY}\nDATA_DIR={self.prefix}/var/lib/gpt-load\n")
            if self.dsn:
                file.write(f"DATABASE_DSN={self.dsn}\n")
        return self.lay()

    def lay(self):
        return self.make("install-htaccess", DIR=self.folder, HANDLER=self.handler)

    def cron(self, said):
        """Does what the line for cron, which the installation printed, would do."""
        (line,) = re.findall(r"^\* \* \* \* \* (.*)$", said, re.MULTILINE)
        return self.shell(line)

    def start(self):
        conf = self.run / "host.conf"
        text = HOST_CONF.format(run=self.run, home=self.home, port=self.port)
        if self.suexec:
            text += SUEXEC_CONF.format(user=pwd.getpwuid(NOBODY).pw_name,
                                       group=grp.getgrgid(NOBODY).gr_name)
        conf.write_text(text)
        who = {} if self.suexec else self.user
        with open(self.run / "apache.log", "ab") as log:
            self.apache = subprocess.Popen(
                [program("apache2"), "-D", "FOREGROUND", "-f", conf], env=self.environment,
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who)
        until(self.answers, "the host's Apache answers")
        return self

    def answers(self):
        assert self.apache.poll() is None, self.log_text()
        try:
            return self.client.request("GET", "/")
        except OSError:
            return None

    def children(self):
        return children(self.apache.pid)

    def log_text(self):
        return "\n".join(path.read_text(errors="replace") for path in self.run.glob("*.log"))

    def stop(self, failed=False):
        try:
            self.apache.send_signal(signal.SIGTERM)
            self.apache.wait(30)
            if not failed:
                alarm = ALARMS.search(self.log_text())
                assert alarm is None, self.log_text()[-20000:]
        except BaseException:
            failed = True
            raise
        finally:
            self.apache.kill()
            if failed:
                print(f"kept: {self.home}")
            else:
                shutil.rmtree(self.home, ignore_errors=True)
