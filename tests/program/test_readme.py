# SPDX-License-Identifier: MIT
"""README's first steps, executed as they are written: five calls of curl."""

import re
import subprocess

import pytest

from lib import vendors
from lib.gateway import ROOT
from lib.provider import Stream, answer

PROVIDER = "https://api.openai.com"


def first_steps(text):
    """The shell blocks of the section that makes the calls."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        script = "\n".join(blocks)
        if script.count("curl ") >= 5:
            return script
    raise AssertionError("no section with five calls of curl")


@pytest.mark.only_on("sqlite", "a new user's first steps are on what needs no setting up")
@pytest.mark.parametrize("name", ["README.md", "README_CN.md"])
def test_the_curl_commands_work_as_written(start_gateway, provider, name):
    text = (ROOT / name).read_text()
    assert "./start.sh" in text and "./test.sh" in text
    script = first_steps(text)
    gateway = start_gateway(AUTH_KEY=None)  # as it is for a new user: made at first start
    # The two things that cannot be as written: the port, and the provider to be paid.
    assert "localhost:3001" in script and PROVIDER in script
    script = script.replace("localhost:3001", f"127.0.0.1:{gateway.port}")
    script = script.replace(PROVIDER, provider.origin)
    provider.on(answer(json=vendors.CHAT))
    stream = provider.on(Stream(), when=lambda request: b'"stream"' in request.body)
    for event in vendors.CHAT_EVENTS:
        stream.send(event)
    stream.end()
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], text=True, check=False,
                          capture_output=True, timeout=60, cwd=gateway.folder)
    assert done.returncode == 0, done.stderr
    assert '"chat.completion"' in done.stdout
    assert "data: [DONE]" in done.stdout
    assert '"request_type"' in done.stdout, "the log is shown"
    assert "UNAUTHORIZED" not in done.stdout
    assert len(provider.requests) == 2
