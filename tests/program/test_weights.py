# SPDX-License-Identifier: MIT
"""Shares: upstreams and members by weight, keys in strict turns, over all workers."""

import concurrent.futures
import contextlib

import pytest

from lib.provider import Provider, answer


@contextlib.contextmanager
def providers(n):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Provider()) for _ in range(n)]


def ask_many(gateway, group, n, clients=8):
    """n requests by so many clients at once; all must succeed."""
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        statuses = list(pool.map(lambda _: gateway.ask(group).status, range(n)))
    assert statuses == [200] * n


@pytest.mark.parametrize("keys", [1, 4, 5])
def test_upstreams_3_to_1_over_400_requests(gateway, make_group, keys):
    with providers(2) as (three, one):
        group = make_group((three.origin, 3), (one.origin, 1), keys=keys)
        ask_many(gateway, group, 400)
        assert len(three.requests) == pytest.approx(300, abs=8)
        assert len(one.requests) == pytest.approx(100, abs=8)


def test_no_key_is_tied_to_one_upstream(gateway, make_group):
    with providers(2) as (three, one):
        group = make_group((three.origin, 3), (one.origin, 1), keys=4)
        ask_many(gateway, group, 64, clients=1)
        assert set(three.keys) == set(one.keys) == set(group.keys)


def test_an_upstream_of_weight_0_is_parked(gateway, make_group):
    with providers(2) as (used, parked):
        ask_many(gateway, make_group((used.origin, 1), (parked.origin, 0)), 10)
        assert (len(used.requests), len(parked.requests)) == (10, 0)


def test_eight_clients_over_five_keys_and_two_workers_differ_by_two_at_most(gateway, provider,
                                                                            make_group):
    group = make_group(keys=5)
    assert len(gateway.workers()) == 2
    ask_many(gateway, group, 203)
    counts = provider.counts()
    assert set(counts) == set(group.keys)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_keys_are_taken_in_strict_turns(gateway, provider, make_group):
    group = make_group(keys=5)
    ask_many(gateway, group, 15, clients=1)
    assert provider.keys[:5] == provider.keys[5:10] == provider.keys[10:]
    assert set(provider.keys) == set(group.keys)


def test_turns_hold_under_plain_cgi_too(gateway, provider, make_group):
    group = make_group(keys=3)
    path, _ = gateway.body_for(group)
    for _ in range(6):
        got = gateway.run_responder_as_cgi("POST", group.path(path), {"model": "m"})
        assert got.status == 200
    assert provider.keys[:3] == provider.keys[3:]
    assert set(provider.keys) == set(group.keys)


def test_members_of_an_aggregate_by_weight(gateway, api, make_group):
    with providers(3) as (two, one, parked):
        members = [make_group(p.origin) for p in (two, one, parked)]
        aggregate = api.create_aggregate(*zip(members, (2, 1, 0)))
        ask_many(gateway, aggregate, 300)
        assert len(two.requests) == pytest.approx(200, abs=6)
        assert len(one.requests) == pytest.approx(100, abs=6)
        assert parked.requests == []


def test_a_member_without_active_keys_is_skipped(gateway, api, provider, make_group):
    empty, full = make_group(keys=0), make_group()
    aggregate = api.create_aggregate((empty, 1000), (full, 1))
    ask_many(gateway, aggregate, 5)
    assert set(provider.keys) == set(full.keys)


def test_an_aggregate_whose_members_have_no_keys_is_503(gateway, api, make_group):
    aggregate = api.create_aggregate((make_group(keys=0), 1), (make_group(keys=0), 1))
    got = gateway.ask(aggregate)
    assert got.status == 503
    assert got.json()["code"] == "NO_KEYS_AVAILABLE"
    assert int(got.header("retry-after")) >= 1


def test_an_aggregate_fails_over_to_another_member(gateway, api, make_group):
    with providers(2) as (bad, good):
        bad.on(answer(500, json={"error": {"message": "down"}}))
        aggregate = api.create_aggregate((make_group(bad.origin), 1),
                                         (make_group(good.origin), 1))
        ask_many(gateway, aggregate, 10, clients=1)
        assert len(good.requests) == 10
        assert len(bad.requests) >= 1


def test_the_members_own_rules_hold_not_the_aggregates(gateway, api, provider, make_group):
    member = make_group(model_redirect_rules={"m": "of-member"}, param_overrides={"n": 2},
                        header_rules=[{"key": "X-Of", "value": "member", "action": "set"}])
    aggregate = api.create_aggregate((member, 1), param_overrides={"n": 3},
                                     header_rules=[{"key": "X-Of", "value": "aggregate",
                                                    "action": "set"}])
    gateway.ask(aggregate, body=b'{"model":"m"}')
    assert provider.last.body == b'{"model":"of-member","n":2}'
    assert provider.last.header("x-of") == "member"


def test_changed_weights_hold_from_the_next_request(gateway, api, make_group):
    with providers(2) as (one, two):
        members = [make_group(p.origin) for p in (one, two)]
        aggregate = api.create_aggregate((members[0], 1), (members[1], 0))
        ask_many(gateway, aggregate, 4)
        for member, weight in zip(members, (0, 1)):
            api.call("PUT", f"/api/groups/{aggregate.id}/sub-groups/{member.id}/weight",
                     {"weight": weight})
        ask_many(gateway, aggregate, 4)
        assert (len(one.requests), len(two.requests)) == (4, 4)


def test_members_that_have_just_come_are_there(gateway, api, make_group, provider):
    """A worker may have read the aggregate's configuration before it had any."""
    members = [make_group() for _ in range(2)]
    for _ in range(10):
        ask_many(gateway, api.create_aggregate((members[0], 1), (members[1], 1)), 4)


def test_the_log_row_names_the_aggregate(gateway, api, make_group):
    member = make_group()
    aggregate = api.create_aggregate((member, 1))
    gateway.ask(aggregate)
    (row,) = api.logs(1, parent_group_name=aggregate.name)
    assert (row["group_name"], row["parent_group_id"]) == (member.name, aggregate.id)
