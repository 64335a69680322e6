# SPDX-License-Identifier: MIT
"""Fixtures of the program tests; what they hand out is in tests/lib."""

import pathlib
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import stacks  # noqa: E402
from lib.api import unique  # noqa: E402
from lib.gateway import Gateway  # noqa: E402
from lib.provider import Provider  # noqa: E402


def is_worker(config):
    return hasattr(config, "workerinput")


def pytest_configure(config):
    """The databases of this run are one for all its workers."""
    if not is_worker(config) and not config.option.collectonly:
        stacks.start(stacks.name_of_this_run())


def pytest_unconfigure(config):
    if not is_worker(config):
        stacks.stop()


def pytest_collection_modifyitems(config, items):
    """Takes out what another stack's run does."""
    name = stacks.name_of_this_run()
    out = []
    for item in items:
        for mark in item.iter_markers("only_on"):
            where, reason = mark.args
            assert where in stacks.NEEDED and reason, f"{item.nodeid}: only_on(stack, reason)"
            if where != name:
                out.append(item)
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets a fixture know whether its test failed."""
    report = yield
    if report.when == "call":
        item.failed = report.failed
    return report


@pytest.fixture(scope="session")
def gateway():
    """One stack for all tests that need no environment of their own."""
    one = Gateway(MAX_CONCURRENT_REQUESTS=1000)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def start_gateway(request):
    """A function that starts a stack of the test's own: start_gateway(PORT=…)."""
    started = []

    def start(**options):
        one = Gateway(**options)
        started.append(one)
        return one.start()
    yield start
    for one in started:
        one.stop(failed=getattr(request.node, "failed", True))


@pytest.fixture
def api(gateway):
    return gateway.api


@pytest.fixture
def provider():
    with Provider() as one:
        yield one


@pytest.fixture
def second_provider():
    with Provider() as one:
        yield one


@pytest.fixture
def make_group(gateway, provider):
    """make_group(channel=…, keys=N or list, …): a group whose upstream is `provider`."""
    def make(*upstreams, channel="openai", keys=1, **fields):
        if isinstance(keys, int):
            keys = [unique("sk-key") for _ in range(keys)]
        return gateway.api.create_group(*(upstreams or (provider.origin,)), channel=channel,
                                        keys=keys, **fields)
    return make


@pytest.fixture
def settings(gateway):
    """settings(name=value, …) on the shared gateway, put back afterwards."""
    before = gateway.api.settings()
    changed = {}

    def change(**values):
        for name in values:
            changed[name] = before[name]
        gateway.api.set(**values)
    yield change
    if changed:
        gateway.api.set(**changed)


@pytest.fixture
def reachable():
    """A folder that the user gpt-load can come to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="gpt-load-test-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """(CA file, certificate, key) for 127.0.0.1 and localhost, made for this run."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
            "/CN=test CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "server.key", "-out", "server.csr")
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", "san", "-out", "server.pem")
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"
