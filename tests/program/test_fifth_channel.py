# SPDX-License-Identifier: MIT
"""A vendor is added by adding one file: it is built and proxied through."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from lib.gateway import ROOT

FILE = pathlib.Path(__file__).parent / "data" / "channel_fifth.c"


@pytest.fixture
def with_a_fifth_channel(tmp_path):
    """A copy of the sources with one file more, configured and built."""
    copy, build = tmp_path / "copy", tmp_path / "build"
    copy.mkdir()
    tracked = ("autogen.sh", "configure.ac", "Makefile.am", "build-aux", "lib", "fcgi-app",
               "admin-cgi", "sql", "tests", "conf-examples", "static")
    skipped = shutil.ignore_patterns(".venv", "node_modules", "__pycache__", "*.o", "dist")
    for name in tracked:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=skipped)
        else:
            shutil.copy(ROOT / name, copy / name)
    shutil.copy(FILE, copy / "lib")
    build.mkdir()

    def run(*command, folder=build):
        done = subprocess.run(command, cwd=folder, text=True, check=False, capture_output=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run("./autogen.sh", folder=copy)
    run(copy / "configure", "--enable-werror", "--without-page", "CFLAGS=-O0 -g")
    run("make", f"-j{os.cpu_count()}", "all")
    return build


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fifth_channel_by_one_file(with_a_fifth_channel, start_gateway, provider):
    gateway = start_gateway(build=with_a_fifth_channel, workers=1)
    assert "fifth" in gateway.api.call("GET", "/api/channel-types")
    group = gateway.api.create_group(provider.origin, channel="fifth", keys=["k-1"])
    got = gateway.ask(group, "/fifth/talk", json={"model": "m"})
    assert got.status == 200
    assert provider.last.header("x-fifth-key") == "k-1"
    assert provider.last.header("authorization") is None
    assert json.loads(provider.last.body) == {"model": "m"}
