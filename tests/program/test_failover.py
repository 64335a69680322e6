# SPDX-License-Identifier: MIT
"""The verdict table of the design: what each outcome means for the retry, the key
and the upstream; and what the client gets when no try is left."""

import pytest

from lib import vendors
from lib.client import Broken
from lib.ports import free_port
from lib.provider import Provider, Stream, answer, credential, hang_up, never
from lib.wait import until


def failing_key(provider, what):
    """The first key that is used gets `what`; every other one a good answer."""
    first = []

    def is_first(request):
        first.append(credential(request))
        return first[0] == first[-1]
    provider.on(what, when=is_first)
    return first


# name → (answer to the first key, channel, does it count as the key's failure)
RETRIED = {
    "401": (vendors.openai_bad_key(), "openai", True),
    "402": (vendors.openai_error(402, "Insufficient Balance"), "openai", True),
    "403": (vendors.openai_error(403, "Country not supported"), "openai", True),
    "openai 429 insufficient_quota": (vendors.openai_no_quota(), "openai", True),
    "anthropic 401": (vendors.anthropic_error(401, "authentication_error",
                                              "invalid x-api-key"), "anthropic", True),
    "anthropic without credit": (vendors.anthropic_no_credit(), "anthropic", True),
    "gemini API_KEY_INVALID": (vendors.gemini_bad_key(), "gemini", True),
    "gemini 403": (vendors.gemini_error(403, "PERMISSION_DENIED", "denied"), "gemini", True),
    "openai 429 rate limit": (vendors.openai_rate_limit(), "openai", False),
    "gemini 429": (vendors.gemini_rate_limit(), "gemini", False),
    "anthropic 429": (vendors.anthropic_error(429, "rate_limit_error", "rate limit"),
                      "anthropic", False),
    "500": (vendors.openai_error(500, "The server had an error", "server_error"), "openai",
            False),
    "502 html": (answer(502, body=b"<html>bad gateway</html>", content_type="text/html"),
                 "openai", False),
    "503 overloaded": (vendors.openai_error(503, "The engine is overloaded"), "openai", False),
    "529 overloaded": (vendors.anthropic_error(529, "overloaded_error", "Overloaded"),
                       "anthropic", False),
}


@pytest.mark.parametrize("case", RETRIED)
def test_retried_with_another_key(gateway, provider, make_group, case):
    what, channel, blamed = RETRIED[case]
    group = make_group(channel=channel, keys=3)
    tried = failing_key(provider, what)
    got = gateway.ask(group)
    assert (got.status, got.json()) == (200, {"ok": True})
    assert len(tried) == 2 and tried[0] != tried[1]
    until(lambda: group.key(tried[0])["failure_count"] == int(blamed), "the count", 5)
    assert group.key(tried[1])["failure_count"] == 0


NOT_RETRIED = {
    "400": (vendors.openai_error(400, "you must provide a model parameter"), "openai"),
    "404": (vendors.openai_error(404, "The model `x` does not exist", code="model_not_found"),
            "openai"),
    "405": (answer(405, json={"error": {"message": "no"}}), "openai"),
    "409": (answer(409, json={"error": {"message": "conflict"}}), "openai"),
    "413": (vendors.anthropic_error(413, "request_too_large", "too large"), "anthropic"),
    "415": (answer(415, json={"error": {"message": "type"}}), "openai"),
    "422": (answer(422, json={"error": {"message": "unprocessable"}}), "openai"),
    "gemini 400 of the client": (vendors.gemini_error(400, "INVALID_ARGUMENT", "bad field"),
                                 "gemini"),
    "anthropic 400 of the client": (vendors.anthropic_error(400, "invalid_request_error",
                                                            "max_tokens: required"),
                                    "anthropic"),
}


@pytest.mark.parametrize("case", NOT_RETRIED)
def test_the_clients_own_fault_is_passed_and_blames_nobody(gateway, provider, make_group, case):
    what, channel = NOT_RETRIED[case]
    group = make_group(channel=channel, keys=2)
    provider.on(what)
    got = gateway.ask(group)
    assert (got.status, got.body) == (what.status, what.body)
    assert len(provider.requests) == 1
    assert [row["failure_count"] for row in group.key_list()] == [0, 0]


def test_nothing_is_tried_twice_while_another_key_is_there(gateway, provider, make_group):
    group = make_group(keys=4)
    provider.on(answer(500, json={"error": {"message": "m"}}))
    assert gateway.ask(group).status == 500
    assert len(provider.keys) == len(set(provider.keys)) == 4


def test_a_failed_upstream_is_left_for_another(gateway, provider, second_provider, make_group):
    group = make_group((provider.origin, 1000), (second_provider.origin, 1), keys=4)
    provider.on(answer(503, json={}))
    for _ in range(3):
        assert gateway.ask(group).status == 200
    assert len(second_provider.requests) == 3


def test_with_one_key_it_is_tried_again(gateway, provider, make_group):
    group = make_group(keys=1)
    provider.on(answer(500, json={}), times=1)
    assert gateway.ask(group).status == 200
    assert provider.keys == group.keys * 2


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_max_retries_bounds_the_tries(gateway, provider, make_group, retries):
    group = make_group(keys=8, config={"max_retries": retries})
    provider.on(answer(500, json={"error": {"message": "m"}}))
    gateway.ask(group)
    assert len(provider.requests) == retries + 1


def test_the_last_answer_with_its_headers_is_what_the_client_gets(gateway, provider, make_group):
    group = make_group(keys=2, config={"max_retries": 1})
    provider.on(vendors.openai_error(500, "first"), times=1)
    last = vendors.openai_error(503, "second", headers=[
        ("x-request-id", "req_2"), ("Set-Cookie", "a=b"), ("Retry-After", "7")])
    provider.on(last, when=lambda r: len(provider.requests) == 1)
    got = gateway.ask(group)
    assert (got.status, got.body) == (503, last.body)
    assert got.header("x-request-id") == "req_2"
    assert got.header("retry-after") == "7"


def test_a_key_in_an_error_body_is_not_shown(gateway, provider, make_group):
    group = make_group(keys=1, config={"max_retries": 0})
    provider.on(vendors.openai_error(401, f"Incorrect API key provided: {group.keys[0]}."))
    got = gateway.ask(group)
    assert got.status == 401
    assert group.keys[0] not in got.text
    assert "Incorrect API key provided" in got.text


@pytest.mark.parametrize("case", ["refused", "no such host", "unknown certificate"])
def test_what_never_reached_a_provider_is_sent_to_another(gateway, provider, make_group,
                                                          certificates, case):
    with Provider(tls=certificates[1:]) as dead:
        if case == "refused":
            dead.stop()
        url = "http://no-such-host.invalid" if case == "no such host" else dead.origin
        group = make_group((url, 1), (provider.origin, 1), keys=2)
        assert [gateway.ask(group).status for _ in range(4)] == [200] * 4
        assert dead.requests == []
    assert [row["failure_count"] for row in group.key_list()] == [0, 0]


def test_an_upstream_out_of_reach_is_502(gateway, make_group):
    with Provider() as dead:
        dead.stop()
        group = make_group(dead.origin, keys=2)
        got = gateway.ask(group)
    assert got.status == 502
    assert got.json()["code"] == "BAD_GATEWAY"
    assert [row["failure_count"] for row in group.key_list()] == [0, 0]


@pytest.mark.parametrize("what", [hang_up(), hang_up(reset=True)], ids=["closed", "reset"])
def test_what_broke_after_it_was_sent_is_not_sent_again(gateway, provider, make_group, what):
    group = make_group(keys=2)
    provider.on(what)
    got = gateway.ask(group)
    assert got.status == 502
    assert len(provider.requests) == 1
    assert [row["failure_count"] for row in group.key_list()] == [0, 0]


def test_a_kept_connection_that_had_died_is_replaced(gateway, provider, make_group):
    group = make_group(keys=2)
    for _ in range(6):
        assert gateway.ask(group).status == 200
    provider.drop_idle()
    for _ in range(6):
        assert gateway.ask(group).status == 200


def test_an_answer_cut_in_the_middle_stays_cut(gateway, provider, make_group):
    group = make_group(keys=2)
    provider.on(hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000))
    with gateway.open(group) as got:
        assert got.status == 200
        with pytest.raises((Broken, ConnectionError)):
            got.body
    assert len(provider.requests) == 1
    (row,) = group.logs(1)
    assert row["is_success"] is False
    assert [r["failure_count"] for r in group.key_list()] == [0, 0]


def test_failover_status_codes_replace_the_retry_column_only(gateway, provider, make_group):
    group = make_group(keys=3, config={"failover_status_codes": "404, 418-420"})
    provider.on(answer(404, json={}), times=1)
    assert gateway.ask(group).status == 200
    provider.on(answer(500, json={}), times=1)
    assert gateway.ask(group).status == 500
    provider.on(answer(401, json={}), times=1)
    assert gateway.ask(group).status == 401
    until(lambda: sorted(row["failure_count"] for row in group.key_list()) == [0, 0, 1],
          "the 401 is counted all the same", 5)


@pytest.mark.parametrize("codes", ["400-403,405-999", "400-403, 405-999"])
def test_the_originals_default_counts_as_not_set(gateway, provider, make_group, codes):
    group = make_group(keys=2, config={"failover_status_codes": codes})
    provider.on(answer(400, json={}))
    assert gateway.ask(group).status == 400
    assert len(provider.requests) == 1


def test_an_empty_list_never_fails_over_on_a_status(gateway, provider, make_group):
    group = make_group(keys=3, config={"failover_status_codes": ""})
    provider.on(answer(500, json={}))
    assert gateway.ask(group).status == 500
    assert len(provider.requests) == 1


def test_five_failures_in_a_row_open_the_breaker(start_gateway, provider, second_provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group((provider.origin, 9), (second_provider.origin, 1),
                                     keys=["sk-a", "sk-b"])
    provider.on(answer(500, json={}))
    for _ in range(30):
        assert gateway.ask(group).status == 200
    assert len(provider.requests) == 5
    assert len(second_provider.requests) == 30


LARGE = b"<html>" + b"x" * 100_000


def test_a_large_401_blamed_no_key(gateway, provider, make_group):
    group = make_group(keys=1, config={"max_retries": 0})
    whole = provider.on(answer(401, body=LARGE, content_type="text/html"))
    got = gateway.ask(group)
    assert (got.status, got.body) == (401, whole.body)
    until(lambda: group.key(group.keys[0])["failure_count"] == 1, "the count", 5)


def test_a_large_429_rested_no_key(gateway, provider, make_group):
    group = make_group(keys=1, config={"max_retries": 0})
    provider.on(answer(429, body=LARGE, headers=[("Retry-After", "600")]), times=1)
    assert gateway.ask(group).status == 429
    got = gateway.ask(group)
    assert (got.status, len(provider.requests)) == (429, 1)
    assert 0 < int(got.header("retry-after")) <= 600


def test_large_failures_opened_no_breaker(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b"],
                                     config={"max_retries": 0})
    provider.on(answer(500, body=LARGE))
    assert [gateway.ask(group).status for _ in range(6)] == [500] * 5 + [503]
    assert len(provider.requests) == 5


@pytest.mark.slow
def test_the_breaker_half_opens_after_ten_seconds(start_gateway, provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b"],
                                     config={"max_retries": 0})
    provider.on(answer(500, json={}), times=5)
    statuses = [gateway.ask(group).status for _ in range(6)]
    assert statuses[:5] == [500] * 5
    assert statuses[5] == 503
    assert len(provider.requests) == 5
    until(lambda: gateway.ask(group).status == 200, "a probe is let through", 20, every=0.5)


@pytest.mark.slow
def test_a_probe_that_streams_lets_the_others_through(start_gateway, provider):
    """They were refused until the stream's end, for minutes."""
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-a", "sk-b"],
                                     config={"max_retries": 0})
    provider.on(answer(500, json={}), times=5)
    assert [gateway.ask(group).status for _ in range(6)] == [500] * 5 + [503]
    stream = Stream()
    provider.on(stream, path="/v1/probe")

    def probe():
        opened = gateway.open(group, "/v1/probe", json={"model": "m", "stream": True})
        return opened if opened.status == 200 else opened.close()
    opened = until(probe, "a probe is let through", 20, every=0.5)
    with opened:
        assert [gateway.ask(group).status for _ in range(4)] == [200] * 4
        stream.end()
        opened.body


def test_a_request_whose_upstream_comes_to_rest_has_a_final_row(start_gateway, provider):
    """The retry found the breaker open, and the try before it had been logged as not the
    last: the dashboard missed the request."""
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=[f"sk-{i}" for i in range(9)],
                                     config={"max_retries": 3})
    provider.on(answer(500, json={}))
    assert [gateway.ask(group).status for _ in range(2)] == [500] * 2
    rows = group.logs(5)
    assert [r["request_type"] for r in rows] == ["retry"] * 3 + ["final"] * 2
    assert len(provider.requests) == 5
    assert group.stats()["stats_24_hour"]["total_requests"] == 2


def test_an_upstream_that_refuses_and_comes_to_rest_is_told_as_it_was(start_gateway):
    """A row named a key that had never been sent, and the client read that the upstream
    rested instead of that it could not be reached."""
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(f"http://127.0.0.1:{free_port()}", keys=["sk-a", "sk-b"],
                                     config={"max_retries": 1})
    assert [gateway.ask(group).status for _ in range(3)] == [502] * 3
    rows = group.logs(5)
    assert [r["request_type"] for r in rows] == ["retry", "final", "retry", "final", "final"]
    assert [r["status_code"] for r in rows] == [502] * 5


def test_a_provider_that_never_answers_blames_no_key(gateway, provider, make_group):
    group = make_group(keys=2, config={"request_timeout": 1})
    provider.on(never())
    got = gateway.ask(group)
    assert got.status == 504
    assert got.json()["code"] == "GATEWAY_TIMEOUT"
    assert len(provider.requests) == 1
    assert [row["failure_count"] for row in group.key_list()] == [0, 0]
