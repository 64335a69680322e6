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
    shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(
        ".git", ".venv", "node_modules", "__pycache__", ".pytest_cache", "*.o", "dist", "build",
        "build-test", "build-bench", "data", "screenshots", "Makefile", "config.status"))
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
@pytest.mark.only_on("sqlite", "a vendor knows no database")
def test_a_fifth_channel_by_one_file(with_a_fifth_channel, start_gateway, provider):
    gateway = start_gateway(build=with_a_fifth_channel, workers=1)
    assert "fifth" in gateway.api.call("GET", "/api/channel-types")
    group = gateway.api.create_group(provider.origin, channel="fifth", keys=["k-1"])
    got = gateway.ask(group, "/fifth/talk", json={"model": "m"})
    assert got.status == 200
    assert provider.last.header("x-fifth-key") == "k-1"
    assert provider.last.header("authorization") is None
    assert json.loads(provider.last.body) == {"model": "m"}
