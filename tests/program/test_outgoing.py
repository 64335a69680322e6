# SPDX-License-Identifier: MIT
"""The way out: proxies by setting and by environment, TLS, and kept connections."""

import concurrent.futures
import threading
import time

import pytest

from lib.provider import Provider, Stream, answer, sse
from lib.proxies import HttpProxy, SocksProxy
from lib.wait import until

# --- proxy_url ---


@pytest.mark.parametrize("user", [None, "us:pass"])
@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
def test_proxy_url_of_a_group(gateway, provider, make_group, kind, user):
    with kind(user=user) as proxy:
        through, direct = make_group(config={"proxy_url": proxy.url}), make_group()
        assert gateway.ask(through).status == 200
        assert gateway.ask(direct).status == 200
        assert proxy.uses == [provider.address]
    assert len(provider.requests) == 2
    assert provider.requests[0].header("proxy-authorization") is None


def test_proxy_url_of_the_system_and_its_removal_are_hot(gateway, make_group, settings):
    group = make_group()
    with SocksProxy() as proxy:
        settings(proxy_url=proxy.url)
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1
        settings(proxy_url="")
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1


def test_a_proxy_out_of_reach_is_no_fault_of_the_key(gateway, make_group):
    group = make_group(config={"proxy_url": "http://127.0.0.1:9", "max_retries": 0})
    got = gateway.ask(group)
    assert got.status == 502
    assert group.key_list()[0]["failure_count"] == 0


def test_a_proxys_password_shows_up_nowhere(gateway, make_group):
    group = make_group(config={"proxy_url": "http://us:s3cretpass@127.0.0.1:9"})
    assert "s3cretpass" not in gateway.ask(group).text
    assert "s3cretpass" not in repr(group.logs(1))
    assert "s3cretpass" not in gateway.log_text()


# --- TLS ---


@pytest.fixture
def tls_provider(certificates):
    with Provider(tls=certificates[1:]) as one:
        yield one


@pytest.mark.parametrize("proxied", [None, HttpProxy, SocksProxy])
def test_upstream_ca_file(start_gateway, tls_provider, certificates, proxied):
    gateway = start_gateway(UPSTREAM_CA_FILE=certificates[0], workers=1)
    group = gateway.api.create_group(tls_provider.origin, keys=["sk-a"])
    if proxied:
        with proxied() as proxy:
            group.configure(proxy_url=proxy.url)
            assert gateway.ask(group).status == 200
            assert proxy.uses == [tls_provider.address]
    else:
        assert gateway.ask(group).status == 200
    assert tls_provider.last.header("authorization") == "Bearer sk-a"


def test_an_https_proxy(start_gateway, tls_provider, certificates):
    gateway = start_gateway(UPSTREAM_CA_FILE=certificates[0], workers=1)
    with HttpProxy(tls=certificates[1:]) as proxy:
        group = gateway.api.create_group(tls_provider.origin, keys=["sk-a"],
                                         config={"proxy_url": proxy.url})
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(gateway, tls_provider, make_group):
    group = make_group(tls_provider.origin)
    got = gateway.ask(group)
    assert got.status == 502
    assert tls_provider.requests == []
    assert group.key_list()[0]["failure_count"] == 0


# --- HTTP_PROXY, HTTPS_PROXY, NO_PROXY ---


def test_http_proxy_and_no_proxy_of_the_environment(start_gateway, provider):
    with HttpProxy() as proxy:
        gateway = start_gateway(HTTP_PROXY=proxy.url, workers=1)
        group = gateway.api.create_group(provider.origin, keys=["sk-a"])
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1
        gateway.restart(NO_PROXY=provider.address.partition(":")[0])
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1


def test_https_proxy_of_the_environment(start_gateway, tls_provider, certificates):
    with HttpProxy() as proxy:
        gateway = start_gateway(HTTPS_PROXY=proxy.url, UPSTREAM_CA_FILE=certificates[0],
                                workers=1)
        group = gateway.api.create_group(tls_provider.origin, keys=["sk-a"])
        assert gateway.ask(group).status == 200
        assert len(proxy.uses) == 1


def test_a_clients_proxy_header_is_no_proxy(gateway, provider, make_group):
    with HttpProxy() as proxy:
        assert gateway.ask(make_group(), headers={"Proxy": proxy.url}).status == 200
        assert proxy.uses == []


# --- kept connections ---


def at_once(gateway, group, provider, n):
    """n exchanges that are all under way at the same time, then all answered."""
    together = threading.Barrier(n + 1)
    streams = [provider.on(Stream(), path=f"/v1/{i}") for i in range(n)]

    def one(i):
        with gateway.open(group, f"/v1/{i}") as got:
            together.wait(20)
            return got.body
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        bodies = [pool.submit(one, i) for i in range(n)]
        for stream in streams:
            stream.wait_opened()
        together.wait(20)
        for stream in streams:
            stream.send(sse("x"))
            stream.end()
        assert {b.result() for b in bodies} == {sse("x")}


@pytest.fixture
def one_worker(start_gateway):
    return start_gateway(workers=1)


def test_connections_are_kept_and_used_again(one_worker, provider):
    group = one_worker.api.create_group(provider.origin, keys=["sk-a"])
    for _ in range(20):
        one_worker.ask(group)
    assert provider.connections == 1


@pytest.mark.parametrize("name", ["max_idle_conns", "max_idle_conns_per_host"])
def test_only_so_many_idle_connections_are_kept(one_worker, provider, name):
    group = one_worker.api.create_group(provider.origin, keys=["sk-a"], config={name: 3})
    at_once(one_worker, group, provider, 8)
    until(lambda: provider.open_connections == 3, "the others are closed", 5)
    group.configure(**{name: 6})
    at_once(one_worker, group, provider, 8)
    until(lambda: provider.open_connections == 6, "the setting is hot", 5)


def test_max_idle_conns_counts_over_all_hosts(one_worker, provider, second_provider):
    group = one_worker.api.create_group(provider.origin, second_provider.origin,
                                        keys=["sk-a"], config={"max_idle_conns": 2})
    streams = [at.on(Stream(), path=f"/v1/{i}") for i in range(8)
               for at in (provider, second_provider)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(one_worker.ask, group, f"/v1/{i}") for i in range(8)]
        until(lambda: sum(s.opened.is_set() for s in streams) == 8, "all are under way")
        for stream in streams:
            stream.end()
        assert [a.result().status for a in answers] == [200] * 8
    until(lambda: provider.open_connections + second_provider.open_connections == 2,
          "two are kept", 5)


def test_idle_conn_timeout_closes_an_idle_connection(one_worker, provider):
    group = one_worker.api.create_group(provider.origin, keys=["sk-a"],
                                        config={"idle_conn_timeout": 1})
    one_worker.ask(group)
    assert provider.open_connections == 1
    idle_since = time.monotonic()
    until(lambda: provider.open_connections == 0, "it is closed", 5)
    assert time.monotonic() - idle_since >= 0.8


def test_an_idle_connection_closed_by_the_provider_is_noticed(one_worker, provider):
    group = one_worker.api.create_group(provider.origin, keys=["sk-a"])
    provider.on(answer(json={}))
    for _ in range(3):
        assert one_worker.ask(group).status == 200
        provider.drop_idle()
    assert len(provider.requests) == 3
