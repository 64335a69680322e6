# SPDX-License-Identifier: MIT
"""Bodies in both directions are bytes: nothing is decoded and printed again."""

import hashlib
import json
import os

import pytest

from lib.provider import answer, echo, gzip_bytes

ODD = (b' {\t"seed":  9223372036854775807 ,\r\n "big":12345678901234567890,"f":1.10e+2,\n'
       b'"model" : "from" , "dup":1,"dup":{"model":"inner"},"esc":"\\u003c<&>\\/",'
       b'"\\u4f60":"\xe4\xbd\xa0","empty":{ },"list":[ 1,2 , 3 ], "neg":-0 }  \n')


def test_32_mb_arrive_and_come_back_byte_for_byte(gateway, provider, make_group):
    provider.on(echo())
    body = os.urandom(1 << 20) * 32
    got = gateway.ask(make_group(), "/v1/files", body=body,
                      headers={"Content-Type": "application/octet-stream"})
    assert got.status == 200
    assert hashlib.sha256(provider.last.body).digest() == hashlib.sha256(body).digest()
    assert got.body == body


@pytest.mark.parametrize("size", [0, 1, 1023, 65535, 65536, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_sizes_around_the_buffers(gateway, provider, make_group, size):
    provider.on(echo())
    body = os.urandom(size)
    assert gateway.ask(make_group(), "/v1/x", body=body).body == body
    assert provider.last.header_all("content-length") == [str(size)]


def test_a_chunked_upload_goes_up_whole(gateway, provider, make_group):
    parts = [os.urandom(n) for n in (1, 70_000, 3, 1_500_000)]
    gateway.ask(make_group(), "/v1/files", chunks=parts)
    assert provider.last.body == b"".join(parts)


def test_a_multipart_upload_keeps_its_boundary_and_bytes(gateway, provider, make_group):
    body = (b'--b0undary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
            b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
            b'Content-Type: application/octet-stream\r\n\r\n' + os.urandom(5000) +
            b'\r\n--b0undary--\r\n')
    kind = "multipart/form-data; boundary=b0undary"
    gateway.ask(make_group(), "/v1/files", body=body, headers={"Content-Type": kind})
    assert provider.last.body == body
    assert provider.last.header("content-type") == kind


def test_odd_json_is_not_touched(gateway, provider, make_group):
    gateway.ask(make_group(), body=ODD)
    assert provider.last.body == ODD


def test_a_redirect_replaces_the_bytes_of_one_value(gateway, provider, make_group):
    group = make_group(model_redirect_rules={"from": "to \"quoted\" 你"})
    gateway.ask(group, body=ODD)
    sent = provider.last.body
    before, _, after = ODD.partition(b'"from"')
    assert sent.startswith(before) and sent.endswith(after)
    assert json.loads(sent[len(before):len(sent) - len(after)]) == 'to "quoted" 你'


def test_an_override_replaces_one_value_and_appends_what_is_missing(gateway, provider,
                                                                    make_group):
    group = make_group(param_overrides={"seed": 18446744073709551615, "new": {"a": [1.50, None]}})
    gateway.ask(group, body=ODD)
    sent = provider.last.body
    assert b"18446744073709551615" in sent
    assert b"9223372036854775807" not in sent
    untouched = ODD[ODD.index(b',\r\n "big"'):ODD.index(b', "neg"')]
    assert untouched in sent
    assert json.loads(sent)["new"] == {"a": [1.5, None]}


def test_overrides_of_every_type(gateway, provider, make_group):
    values = {"temperature": 0.25, "n": 1, "stop": None, "user": "u\"\\", "flag": False,
              "tools": [{"a": {}}], "nested": {"b": 1}}
    group = make_group(param_overrides=values)
    gateway.ask(group, json={"temperature": 1, "nested": {"kept": "no"}, "model": "m"})
    assert json.loads(provider.last.body) == {"model": "m", **values}


@pytest.mark.parametrize("body", [b"null", b"[1,2]", b'"text"', b"12", b"", b"not json",
                                  b"{broken", b'{"a":1} x', gzip_bytes(b'{"model":"m"}')])
def test_what_is_no_json_object_passes_in_spite_of_overrides(gateway, provider, make_group, body):
    group = make_group(param_overrides={"temperature": 1})
    assert gateway.ask(group, body=body).status == 200
    assert provider.last.body == body


def test_a_body_over_the_limit_is_413(start_gateway, provider):
    gateway = start_gateway(MAX_REQUEST_BODY_MB=2)
    group = gateway.api.create_group(provider.origin, keys=["sk-a"])
    limit = 2 << 20
    assert gateway.ask(group, body=b"x" * limit).status == 200
    got = gateway.ask(group, body=b"x" * (limit + 1))
    assert got.status == 413
    # The web server may refuse it by itself, by Content-Length or as it comes.
    chunked = gateway.ask(group, chunks=[b"x" * 65536] * 40)
    assert chunked.status == 413
    assert len(provider.requests) == 1


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
def test_answers_of_every_framing_and_encoding_arrive_as_sent(gateway, provider, make_group,
                                                              framing, encoding):
    whole = provider.on(answer(json={"a": "b" * 50_000}, framing=framing, encoding=encoding))
    got = gateway.ask(make_group(), headers={"Accept-Encoding": "gzip, deflate"})
    assert got.body == whole.body
    assert got.header("content-encoding") == encoding


def test_an_unknown_encoding_passes(gateway, provider, make_group):
    provider.on(answer(body=b"\x1bbrotli?", headers=[("Content-Encoding", "br")]))
    got = gateway.ask(make_group(), headers={"Accept-Encoding": "br"})
    assert (got.body, got.header("content-encoding")) == (b"\x1bbrotli?", "br")


def test_no_encoding_is_asked_for_on_the_clients_behalf(gateway, provider, make_group):
    gateway.ask(make_group())
    assert provider.last.header("accept-encoding") in (None, "identity")


def test_an_expectation_of_100_continue_does_not_hang(gateway, provider, make_group):
    got = gateway.ask(make_group(), body=b"{}", headers={"Expect": "100-continue"})
    assert got.status == 200
    assert provider.last.body == b"{}"


def test_an_upload_that_breaks_off_never_goes_up(gateway, provider, make_group):
    group = make_group()
    sock = gateway.client.send("POST", group.path("/v1/x"), {
        **gateway.headers(), "Content-Length": "100000"}, body=b"x" * 5000)
    sock.close()
    assert gateway.ask(group, "/v1/after", method="GET").status == 200
    assert [r.path for r in provider.requests] == ["/v1/after"]
