# SPDX-License-Identifier: MIT
"""The management API's single rows, copies, orders and downloads, on the real stack."""

import csv
import io

import pytest

from lib.api import unique
from lib.client import Broken


def ask(gateway, path):
    return gateway.client.request("POST", path, gateway.headers(),
                                  json={"model": "m", "messages": []})


def test_a_copied_group_serves_at_once(gateway, api, provider):
    keys = [unique("k") for _ in range(3)]
    group = api.create_group(provider.origin, keys=keys)
    answer = api.call("POST", f"/api/groups/{group.id}/copy", {"copy_keys": "all"})
    copy = answer["group"]
    assert copy["name"] == f"{group.name}_copy"
    rows = api.call("GET", f"/api/keys?group_id={copy['id']}")["items"]
    assert sorted(row["key_value"] for row in rows) == sorted(keys)
    got = ask(gateway, f"/proxy/{copy['name']}/v1/chat/completions")
    assert got.status == 200


def test_order_of_groups(api, provider):
    first, second = (api.create_group(provider.origin) for _ in range(2))
    api.call("PUT", "/api/groups/reorder",
             {"items": [{"id": first.id, "sort": 1}, {"id": second.id, "sort": 2}]})
    ids = [g["id"] for g in api.call("GET", "/api/groups") if g["id"] in (first.id, second.id)]
    assert ids == [first.id, second.id]


def test_a_disabled_key_is_not_used(gateway, api, provider):
    keys = [unique("k") for _ in range(2)]
    group = api.create_group(provider.origin, keys=keys)
    row = group.key(keys[0])
    api.call("PUT", f"/api/keys/{row['id']}/status", {"status": "disabled", "reason": "budget"})
    assert group.key(keys[0])["disabled_reason"] == "budget"
    for _ in range(4):
        ask(gateway, group.path("/v1/chat/completions"))
    assert {row["key_value"] for row in group.logs(4)} == {keys[1]}
    api.call("PUT", f"/api/keys/{row['id']}/status", {"status": "active"})
    assert api.call("GET", f"/api/keys/{row['id']}")["status"] == "active"


def test_downloads(gateway, api, provider):
    keys = [unique("k") for _ in range(1200)]
    group = api.create_group(provider.origin, keys=keys)
    got = api.raw("GET", f"/api/keys/export?group_id={group.id}")
    assert got.status == 200
    assert got.header("content-disposition") == (
        f'attachment; filename="keys-{group.name}-all.txt"')
    assert got.text.split() == keys
    assert f"exported to 127.0.0.1: upstream keys of group {group.id}" in gateway.log_text()
    ask(gateway, group.path("/v1/chat/completions"))
    (row,) = group.logs(1)
    assert api.call("GET", f"/api/logs/{row['id']}")["key_value"] == row["key_value"]
    got = api.raw("GET", f"/api/logs/export?group_name={group.name}")
    assert list(csv.DictReader(io.StringIO(got.text))) == [
        {"key_value": row["key_value"], "group_name": group.name, "status_code": "200"}]


@pytest.mark.only_on("sqlite", "the failure is of SQLite's own making")
def test_a_download_that_fails_in_the_middle_does_not_end_like_a_whole_one(start_gateway,
                                                                           provider):
    gateway = start_gateway(workers=1)
    group = gateway.api.create_group(provider.origin, keys=[
        f"{n}-" + "x" * 2000 for n in range(1200)])
    columns = [row[1] for row in gateway.query("PRAGMA table_info(api_keys)")]
    gateway.execute("ALTER TABLE api_keys RENAME TO kept")

    def fail_from(number):
        gateway.execute("DROP VIEW IF EXISTS api_keys")
        overflow = f"CASE WHEN id > {number} THEN abs(-9223372036854775807 - 1) ELSE key_value END"
        gateway.execute("CREATE VIEW api_keys AS SELECT " + ", ".join(
            f"{overflow} AS {name}" if name == "key_value" else name
            for name in columns) + " FROM kept")
        return gateway.api.raw("GET", f"/api/keys/export?group_id={group.id}")
    with pytest.raises(Broken):
        fail_from(1100)
    early = fail_from(700)
    assert (early.status, early.json()["code"]) == (500, "DATABASE_ERROR")
    assert early.header("content-disposition") is None
    assert "/api/keys/export" in gateway.log_text()
    assert gateway.api.call("GET", "/api/groups/list")[0]["name"] == group.name
