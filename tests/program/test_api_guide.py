# SPDX-License-Identifier: MIT
"""docs/api.md: its examples work as they stand, and what it says of codes and limits is
what the document says."""

import json
import pathlib
import re
import subprocess

from lib import openapi
from lib.gateway import AUTH_KEY
from lib.openapi import DOCUMENT

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "api.md").read_text()


def test_examples(start_gateway, tmp_path):
    gateway = start_gateway(workers=1)
    blocks = [block for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.S) if "curl" in block]
    assert len(blocks) >= 4
    for block in blocks:
        done = subprocess.run(["sh", "-eu", "-c", block.replace("curl -sS", "curl -sS -w '\\n'")],
                              cwd=tmp_path, timeout=60, capture_output=True, text=True, check=True,
                              env={**gateway.environment, "AUTH_KEY": AUTH_KEY,
                                   "GATEWAY": f"http://127.0.0.1:{gateway.port}"})
        answers = [json.loads(line) for line in done.stdout.splitlines() if line]
        assert answers and {answer["code"] for answer in answers} == {0}, done.stdout


def test_every_code_is_in_the_guide_and_none_else():
    table = GUIDE.partition("| status | codes |")[2].partition("\n\n")[0]
    codes = set(re.findall(r"`([A-Z_]+)`", table))
    rare = {"FORBIDDEN", "URI_TOO_LONG", "HEADERS_TOO_LARGE"}
    assert codes | rare == set(DOCUMENT["components"]["schemas"]["ErrorCode"]["enum"])


def test_paths_in_the_guide_are_routes():
    for path in set(re.findall(r"(?:GET|POST|PUT) (/[\w/{}-]+)", GUIDE)):
        assert path in DOCUMENT["paths"], path
    for method, path in re.findall(r"`(GET|POST|PUT) (/[\w/{}-]+)`", GUIDE):
        assert openapi.find(method, path) is not None
