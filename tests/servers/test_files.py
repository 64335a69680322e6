# SPDX-License-Identifier: MIT
"""The files of conf-examples/ and docs/web-servers.md against the rest."""

import re

import pytest

from lib.gateway import ROOT
from lib.servers import SERVERS

FILES = sorted({server.file for server in SERVERS.values()})


def test_mod_fcgid_is_given_every_variable():
    known = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    text = (ROOT / "conf-examples" / "apache-fcgid.conf").read_text()
    passed = set(re.findall(r"^Use Pass (\w+)", text, re.MULTILINE))
    passed |= set(re.findall(r"^FcgidInitialEnv (\w+)", text, re.MULTILINE))
    assert known <= passed
    assert passed - known == {"GPT_LOAD_CONFIG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_has_an_access_log(file):
    lines = [line.strip() for line in file.read_text().splitlines()]
    directives = [line for line in lines if line and not line.startswith("#")]
    for bad in ("CustomLog", "TransferLog", "accesslog", "mod_accesslog", "log_format"):
        assert not [line for line in directives if bad in line]
    assert "access_log off;" in directives or not [d for d in directives if "access_log" in d]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_documents_and_the_installation_know_it(file):
    assert f"`{file.name}`" in (ROOT / "docs" / "web-servers.md").read_text()
    assert f"conf-examples/{file.name}" in (ROOT / "conf-examples" / "local.mk").read_text()
