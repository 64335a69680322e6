# SPDX-License-Identifier: MIT
"""README's first steps, executed as they are written: five calls of curl."""

import re
import subprocess
import sys

import pytest

from lib import vendors
from lib.gateway import ROOT
from lib.provider import Provider, Stream, answer

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


@pytest.fixture
def providers():
    with Provider() as one, Provider() as two, Provider() as three:
        yield {"openai": one, "anthropic": two, "gemini": three}


@pytest.mark.only_on("sqlite", "the vendors' clients have tests of their own on every stack")
@pytest.mark.parametrize("name", ["README.md", "README_CN.md"])
def test_the_python_examples_work_as_written(start_gateway, providers, name):
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(),
                            re.MULTILINE | re.DOTALL)
    gateway = start_gateway(AUTH_KEY=None)
    gateway.api.auth_key = (gateway.folder / "data" / "auth_key").read_text().strip()
    for channel, provider in providers.items():
        getattr(vendors, f"speak_{channel}")(provider, ["up-1"])
        gateway.api.create_group(provider.origin, channel=channel, name=channel, keys=["up-1"])
    settings = [one for group in gateway.api.call("GET", "/api/settings")
                for one in group["settings"]]
    (key,) = [one["value"] for one in settings if one["key"] == "proxy_keys"]
    assert key != gateway.api.auth_key
    assert program.count("localhost:3001") == program.count("sk-your-proxy-key") == 3
    program = program.replace("localhost:3001", f"127.0.0.1:{gateway.port}")
    done = subprocess.run([sys.executable, "-c", program.replace("sk-your-proxy-key", key)],
                          text=True, check=False, capture_output=True, timeout=60,
                          cwd=gateway.folder)
    assert done.returncode == 0, done.stderr
    for said in ("Hello! How can I help?", "Hi! My name is Claude."):
        assert said in done.stdout
    assert "candidates=" in done.stdout
    assert [len(provider.requests) for provider in providers.values()] == [1, 1, 1]
