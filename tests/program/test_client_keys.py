# SPDX-License-Identifier: MIT
"""Where a client may put its key, which keys open which group, and that no
credential of a client ever goes up."""

import pytest

from lib.api import unique
from lib.gateway import AUTH_KEY

PLACES = {
    "query": (f"?key={AUTH_KEY}", {}),
    "bearer": ("", {"Authorization": f"Bearer {AUTH_KEY}"}),
    "x-api-key": ("", {"X-Api-Key": AUTH_KEY}),
    "x-goog-api-key": ("", {"X-Goog-Api-Key": AUTH_KEY}),
    "api-key": ("", {"Api-Key": AUTH_KEY}),
}
WRONG = {
    "query": ("?key=wrong", {}),
    "bearer": ("", {"Authorization": "Bearer wrong"}),
    "x-api-key": ("", {"X-Api-Key": "wrong"}),
    "x-goog-api-key": ("", {"X-Goog-Api-Key": "wrong"}),
    "api-key": ("", {"Api-Key": "wrong"}),
}
ORDER = list(PLACES)


def ask(gateway, group, query, headers):
    return gateway.client.request("GET", group.path("/v1/x") + query, headers)


@pytest.mark.parametrize("place", ORDER)
def test_the_key_is_found_in_every_place_and_goes_no_further(gateway, provider, make_group,
                                                             place):
    group = make_group()
    assert ask(gateway, group, *PLACES[place]).status == 200
    sent = provider.last
    assert AUTH_KEY.encode() not in sent.line + b"\n".join(sent.header_lines)
    assert sent.query == ""
    assert sent.header("authorization") == f"Bearer {group.keys[0]}"
    for name in ("x-api-key", "x-goog-api-key"):
        assert sent.header(name) is None


@pytest.mark.parametrize("place", ORDER)
def test_a_wrong_key_is_401_in_every_place(gateway, provider, make_group, place):
    got = ask(gateway, make_group(), *WRONG[place])
    assert got.status == 401
    assert got.json()["code"] == "UNAUTHORIZED"
    assert provider.requests == []


@pytest.mark.parametrize("first, second", [(a, b) for i, a in enumerate(ORDER)
                                           for b in ORDER[i + 1:]])
def test_the_earlier_place_wins(gateway, provider, make_group, first, second):
    group = make_group()

    def both(one, other):
        return ask(gateway, group, one[0] or other[0], {**other[1], **one[1]}).status
    assert both(WRONG[first], PLACES[second]) == 401
    assert both(PLACES[first], WRONG[second]) == 200
    assert b"wrong" not in b"\n".join(provider.last.header_lines)


@pytest.mark.parametrize("headers, status", [
    ({}, 401),
    ({"Authorization": "Bearer "}, 401),
    ({"Authorization": "Bearer ", "X-Api-Key": AUTH_KEY}, 401),
    ({"Authorization": "Basic abc", "X-Api-Key": AUTH_KEY}, 200),
    ({"Authorization": f"bearer {AUTH_KEY}"}, 200),  # a scheme's name has no case (RFC 9110)
    ({"X-Api-Key": "", "X-Goog-Api-Key": AUTH_KEY}, 200),
])
def test_edges_of_the_search(gateway, make_group, headers, status):
    assert ask(gateway, make_group(), "", headers).status == status


def test_the_key_is_cut_out_of_the_query_and_the_rest_stays_as_it_was(gateway, provider,
                                                                      make_group):
    query = f"?b=2&key={AUTH_KEY}&a=%2F+x;y&key=&monkey=1&a=%zz".replace("%zz", "%41")
    assert ask(gateway, make_group(), query, {}).status == 200
    assert provider.last.query == "b=2&a=%2F+x;y&monkey=1&a=%41"


def test_a_key_that_is_percent_encoded_in_the_query(gateway, make_group):
    encoded = "".join(f"%{byte:02X}" for byte in AUTH_KEY.encode())
    assert ask(gateway, make_group(), f"?key={encoded}", {}).status == 200


def test_a_groups_own_keys_open_that_group_only(gateway, make_group):
    own, other = unique("client-key"), unique("client-key")
    group = make_group(proxy_keys=f" {own} ,,{other}")
    stranger = make_group()
    assert gateway.ask(group, key=own).status == 200
    assert gateway.ask(group, key=other).status == 200
    assert gateway.ask(stranger, key=own).status == 401


def test_a_members_keys_do_not_open_the_aggregate(gateway, api, make_group):
    own, outer = unique("client-key"), unique("client-key")
    member = make_group(proxy_keys=own)
    aggregate = api.create_aggregate((member, 1), proxy_keys=outer)
    assert gateway.ask(aggregate, key=outer).status == 200
    assert gateway.ask(aggregate, key=own).status == 401


def test_a_revoked_group_key_is_refused_by_the_next_request(gateway, make_group):
    own = unique("client-key")
    group = make_group(proxy_keys=own)
    assert gateway.ask(group, key=own).status == 200
    group.update(proxy_keys="")
    assert gateway.ask(group, key=own).status == 401


def test_proxy_keys_of_the_system_open_every_group(gateway, api, make_group, settings):
    one, two = unique("client-key"), unique("client-key")
    settings(proxy_keys=f"{one}, {two}")
    group = make_group()
    assert [gateway.ask(group, key=k).status for k in (one, two, AUTH_KEY, "no")] \
        == [200, 200, 200, 401]


def test_client_cookies_pass_but_proxy_credentials_do_not(gateway, provider, make_group):
    gateway.ask(make_group(), headers={"Cookie": "a=b; c=d", "Proxy-Authorization": "Basic abc",
                                       "Proxy": "http://127.0.0.1:1"})
    assert provider.last.header("cookie") == "a=b; c=d"
    assert provider.last.header("proxy-authorization") is None
    assert provider.last.header("proxy") is None


def test_azure_clients_key_is_sent_up_where_the_group_says_so(gateway, provider, make_group):
    group = make_group(header_rules=[
        {"key": "Api-Key", "value": "${API_KEY}", "action": "set"},
        {"key": "Authorization", "action": "remove"}])
    assert ask(gateway, group, "", {"Api-Key": AUTH_KEY}).status == 200
    assert provider.last.header("api-key") == group.keys[0]
    assert provider.last.header("authorization") is None
