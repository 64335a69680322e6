# SPDX-License-Identifier: MIT
"""A clean Debian in a folder (debootstrap), and commands run in it."""

import pathlib
import shlex
import shutil
import subprocess
import tempfile

# Mounts of its own, so that nothing stays mounted whatever happens.
ENTER = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         'mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && '
         'tree=$0 && exec chroot "$tree" "$@"']
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
SUITE = "bookworm"


class Tree:
    """A folder that is a Debian; remove() deletes it."""

    def __init__(self, like=None):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="gl-tree-", dir="/tmp"))
        self.path.chmod(0o755)
        if like is None:
            self._debootstrap()
        else:
            subprocess.run(["cp", "-a", f"{like.path}/.", self.path], check=True)

    def _debootstrap(self):
        self.log = subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, self.path], capture_output=True,
            text=True, timeout=600, check=False)
        assert self.log.returncode == 0, self.log.stdout[-3000:] + self.log.stderr[-3000:]
        # The host's ways to its packages; no service starts when it is installed.
        for path in pathlib.Path("/etc/apt/apt.conf.d").glob("99*"):
            shutil.copy(path, self / "etc/apt/apt.conf.d")
        for name in ("etc/resolv.conf", "etc/hosts"):
            shutil.copy(f"/{name}", self / name)
        policy = self / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        self.run("apt-get update -qq")

    def __truediv__(self, name):
        return self.path / str(name).lstrip("/")

    def within(self, *user):
        """The words before a command that is to run here; user: as whom."""
        words = [*ENTER, str(self.path)]
        if user:
            words += ["setpriv", "--reuid", user[0], "--regid", user[0], "--init-groups", "--"]
        return words

    def run(self, command, check=True, timeout=900, **environment):
        done = subprocess.run([*self.within(), "sh", "-ec", command], text=True, timeout=timeout,
                              capture_output=True, check=False, stdin=subprocess.DEVNULL,
                              env={**ENVIRONMENT, **environment})
        assert not check or done.returncode == 0, \
            f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def spawn(self, command, log, **environment):
        with open(log, "ab") as out:
            return subprocess.Popen([*self.within(), "sh", "-ec", command], stdout=out,
                                    stderr=out, stdin=subprocess.DEVNULL,
                                    start_new_session=True,
                                    env={**ENVIRONMENT, **environment})

    def install(self, *packages):
        self.run("apt-get install -y -qq --no-install-recommends " + shlex.join(packages))

    def id(self, kind, name):
        """A user's or group's number here."""
        for line in (self / f"etc/{kind}").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split(":")[2])
        raise LookupError(name)

    def files(self):
        """Every file and folder but what dpkg, apt and logs keep for themselves."""
        skipped = ("proc/", "dev/", "sys/", "tmp/", "var/cache/", "var/lib/dpkg/",
                   "var/lib/apt/", "var/log/", "run/lock/", "var/lib/systemd/",
                   "etc/.pwd.lock")
        found = set()
        for path in self.path.rglob("*"):
            name = str(path.relative_to(self.path))
            if not name.startswith(skipped):
                found.add(name)
        return found

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
