# SPDX-License-Identifier: MIT
"""The dashboard's numbers against the log rows of a run."""

from lib.api import unique


def test_numbers_agree_with_the_log_rows(start_gateway, provider):
    gateway = start_gateway(workers=1)
    api = gateway.api
    group = api.create_group(provider.origin, keys=[unique("k") for _ in range(3)])
    parent = api.call("POST", "/api/groups", {
        "name": unique(), "channel_type": "openai", "group_type": "aggregate"})
    api.call("POST", f"/api/groups/{parent['id']}/sub-groups",
             {"sub_groups": [{"group_id": group.id, "weight": 1}]})
    for name in [group.name] * 5 + [parent["name"]] * 3:
        gateway.client.request("POST", f"/proxy/{name}/v1/chat/completions", gateway.headers(),
                               json={"model": "m", "messages": []})
    rows = api.call("GET", "/api/logs?page_size=1000")["items"]
    final = [row for row in rows if row["request_type"] == "final"]
    bad = [row for row in final if not row["is_success"]]
    assert len(final) == 8
    stats = api.call("GET", "/api/dashboard/stats")
    assert stats["request_count"]["value"] == len(final)
    assert stats["error_rate"]["value"] == round(100 * len(bad) / len(final), 2)
    assert stats["rpm"]["value"] == len(final) / 10
    assert stats["key_count"]["value"] == 3
    chart = api.call("GET", "/api/dashboard/chart")
    assert sum(chart["datasets"][0]["data"]) == len(final) - len(bad)
    assert sum(chart["datasets"][1]["data"]) == len(bad)
    chart = api.call("GET", f"/api/dashboard/chart?groupId={parent['id']}")
    assert sum(sum(series["data"]) for series in chart["datasets"]) == 3
    assert group.stats()["stats_24_hour"]["total_requests"] == len(final)
    api.call("DELETE", f"/api/groups/{parent['id']}")
    assert api.call("GET", "/api/dashboard/stats")["request_count"]["value"] == len(final)
