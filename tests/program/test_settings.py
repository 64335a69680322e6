# SPDX-License-Identifier: MIT
"""The system settings: their table, their checks, and that each one is obeyed by the
next request, from the system and from a group.

Where a setting's effect has a test of its own, EFFECTS names it; the last test here
holds the list against the settings that there are.
"""

import pytest

from lib import vendors
from lib.provider import answer

# setting → where its effect is seen: "file::test", or a test below.
EFFECTS = {
    "app_url": "test_settings::test_app_url_is_in_the_endpoint_of_a_group",
    "proxy_keys": "test_client_keys::test_proxy_keys_of_the_system_open_every_group",
    "request_log_retention_days": "test_logs::test_retention_deletes_what_is_older",
    "request_log_write_interval_minutes":
        "test_logs::test_write_interval_0_writes_at_once_and_1_waits",
    "enable_request_body_logging": "test_settings::test_body_logging_system_and_group",
    "request_timeout":
        "test_timeouts::test_request_timeout_bounds_the_whole_exchange_retries_included",
    "connect_timeout": "test_timeouts::test_connect_timeout_moves_on_to_another_upstream",
    "idle_conn_timeout": "test_outgoing::test_idle_conn_timeout_closes_an_idle_connection",
    "response_header_timeout": "test_timeouts::test_response_header_timeout",
    "max_idle_conns": "test_outgoing::test_only_so_many_idle_connections_are_kept",
    "max_idle_conns_per_host": "test_outgoing::test_only_so_many_idle_connections_are_kept",
    "proxy_url": "test_outgoing::test_proxy_url_of_a_group",
    "max_retries": "test_settings::test_max_retries_system_and_group",
    "blacklist_threshold": "test_settings::test_blacklist_threshold_system_and_group",
    "failover_status_codes": "test_settings::test_failover_status_codes_system_and_group",
    "key_validation_interval_minutes": "test_pool::test_validation_brings_a_healed_key_back",
    "key_validation_concurrency": "test_validation::test_concurrency_bounds_the_probes",
    "key_validation_timeout_seconds": "test_validation::test_a_probe_that_hangs_is_given_up",
    "stream_idle_timeout":
        "test_timeouts::test_stream_idle_timeout_ends_a_silent_stream_with_an_error_event",
    "stream_heartbeat_seconds":
        "test_streams::test_a_silent_stream_gets_comments_between_events_only",
}

DEFAULTS = {
    "request_log_retention_days": 7, "request_log_write_interval_minutes": 1,
    "enable_request_body_logging": False, "request_timeout": 600, "connect_timeout": 15,
    "idle_conn_timeout": 120, "response_header_timeout": 600, "max_idle_conns": 100,
    "max_idle_conns_per_host": 50, "proxy_url": "", "max_retries": 3,
    "blacklist_threshold": 3, "failover_status_codes": "400-403,405-999",
    "key_validation_interval_minutes": 60, "key_validation_concurrency": 10,
    "key_validation_timeout_seconds": 20, "stream_idle_timeout": 300,
    "stream_heartbeat_seconds": 15,
}


def test_defaults_of_a_new_installation(start_gateway):
    gateway = start_gateway(workers=1)
    have = gateway.api.settings()
    assert {name: have[name] for name in DEFAULTS} == DEFAULTS
    assert have["app_url"] == f"http://127.0.0.1:{gateway.port}"
    assert have.keys() == EFFECTS.keys()


def test_every_setting_has_a_test_that_sees_its_effect(api, request):
    assert api.settings().keys() == EFFECTS.keys()
    folder = request.path.parent
    for place in EFFECTS.values():
        file, _, test = place.partition("::")
        assert f"def {test}(" in (folder / f"{file}.py").read_text(), place


def test_the_list_has_types_bounds_and_categories(api):
    categories = api.call("GET", "/api/settings")
    assert len(categories) == 3
    by_key = {s["key"]: s for c in categories for s in c["settings"]}
    assert by_key["max_retries"]["type"] == "int"
    assert by_key["max_retries"]["min_value"] == 0
    assert by_key["request_timeout"]["min_value"] == 1
    assert by_key["enable_request_body_logging"]["type"] == "bool"
    assert by_key["proxy_url"]["type"] == "string"
    assert by_key["blacklist_threshold"]["default_value"] == "3"


UNUSABLE = [
    {"max_retries": -1}, {"max_retries": "3"}, {"max_retries": 1.5}, {"max_retries": None},
    {"max_retries": True}, {"max_retries": 1e30}, {"max_retries": [1]},
    {"request_timeout": 0}, {"connect_timeout": 0}, {"idle_conn_timeout": 0},
    {"response_header_timeout": 0}, {"max_idle_conns": 0}, {"max_idle_conns_per_host": 0},
    {"blacklist_threshold": -1}, {"key_validation_interval_minutes": 0},
    {"key_validation_concurrency": 0}, {"key_validation_timeout_seconds": 0},
    {"request_log_retention_days": -1}, {"request_log_write_interval_minutes": -1},
    {"stream_idle_timeout": 0}, {"stream_heartbeat_seconds": -1},
    {"enable_request_body_logging": "true"}, {"enable_request_body_logging": 1},
    {"failover_status_codes": "99"}, {"failover_status_codes": "500-400"},
    {"failover_status_codes": "abc"}, {"failover_status_codes": "400-"},
    {"proxy_url": "ftp://127.0.0.1"}, {"proxy_url": "not a url"}, {"proxy_url": 5},
    {"app_url": ""}, {"proxy_keys": ""}, {"proxy_keys": " , "}, {"no_such_setting": 1},
]


@pytest.mark.parametrize("values", UNUSABLE, ids=repr)
def test_an_unusable_value_is_400_and_nothing_changes(api, values):
    before = api.settings()
    got = api.raw("PUT", "/api/settings", {"max_idle_conns": 77, **values}
                  if "max_idle_conns" not in values else {"max_retries": 7, **values})
    assert got.status == 400
    assert got.json()["code"] == "VALIDATION_FAILED"
    assert next(iter(values)) in got.json()["message"]
    assert api.settings() == before


@pytest.mark.parametrize("values", [v for v in UNUSABLE if not v.keys() & {
    "app_url", "proxy_keys", "request_log_retention_days",
    "request_log_write_interval_minutes"} and None not in v.values()], ids=repr)
def test_an_unusable_override_is_400(gateway, provider, make_group, values):
    group = make_group()
    got = gateway.api.raw("PUT", f"/api/groups/{group.id}", {"config": values})
    assert got.status == 400
    assert got.json()["code"] == "VALIDATION_FAILED"


def test_a_large_number_survives(api, settings):
    settings(blacklist_threshold=1000000)
    assert api.settings()["blacklist_threshold"] == 1000000


def test_an_empty_change_is_fine(api):
    assert api.call("PUT", "/api/settings", {}) is None


def test_null_in_config_drops_the_override(gateway, provider, make_group):
    group = make_group(keys=3, config={"max_retries": 0})
    group.update(config={"max_retries": None})
    provider.on(answer(500, json={}), times=1)
    assert gateway.ask(group).status == 200


def test_app_url_is_in_the_endpoint_of_a_group(api, make_group, settings):
    settings(app_url="https://gate.example.org/")
    name = make_group().name
    (row,) = [g for g in api.call("GET", "/api/groups") if g["name"] == name]
    assert row["endpoint"] == f"https://gate.example.org/proxy/{name}"


def tries(gateway, provider, group):
    """How often a request that always fails is sent."""
    provider.forget()
    gateway.ask(group)
    return len(provider.requests)


def test_max_retries_system_and_group(gateway, provider, make_group, settings):
    group, own = make_group(keys=3), make_group(keys=3, config={"max_retries": 1})
    provider.on(vendors.openai_bad_key())
    settings(max_retries=0, blacklist_threshold=0)
    assert (tries(gateway, provider, group), tries(gateway, provider, own)) == (1, 2)
    settings(max_retries=2)
    assert (tries(gateway, provider, group), tries(gateway, provider, own)) == (3, 2)
    own.configure()
    assert tries(gateway, provider, own) == 3


def test_blacklist_threshold_system_and_group(gateway, provider, make_group, settings):
    settings(max_retries=0, blacklist_threshold=1)
    group, own = make_group(), make_group(config={"blacklist_threshold": 2})
    provider.on(vendors.openai_bad_key())
    for one, uses in ((group, 1), (own, 2)):
        statuses = [gateway.ask(one).status for _ in range(4)]
        assert statuses == [401] * uses + [503] * (4 - uses)


def test_failover_status_codes_system_and_group(gateway, provider, make_group, settings):
    settings(failover_status_codes="418")
    group = make_group(keys=2)
    own = make_group(keys=2, config={"failover_status_codes": "419"})
    provider.on(answer(418, json={}))
    assert (tries(gateway, provider, group), tries(gateway, provider, own)) == (4, 1)


def test_body_logging_system_and_group(gateway, make_group, settings):
    settings(enable_request_body_logging=True)
    group, own = make_group(), make_group(config={"enable_request_body_logging": False})
    for one in (group, own):
        gateway.ask(one, body=b'{"model":"m"}')
    assert group.logs(1)[0]["request_body"] == '{"model":"m"}'
    assert own.logs(1)[0]["request_body"] == ""


def test_config_options_are_the_overridable_ones(api):
    options = api.call("GET", "/api/groups/config-options")
    keys = [option["key"] for option in options]
    assert keys[:14] == [
        "request_timeout", "idle_conn_timeout", "connect_timeout", "max_idle_conns",
        "max_idle_conns_per_host", "response_header_timeout", "proxy_url", "max_retries",
        "blacklist_threshold", "failover_status_codes", "key_validation_interval_minutes",
        "key_validation_concurrency", "key_validation_timeout_seconds",
        "enable_request_body_logging"]
