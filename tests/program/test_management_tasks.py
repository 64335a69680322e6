# SPDX-License-Identifier: MIT
"""Long tasks: imports by text and file, deletions, validations, tests of keys; over a
killed background, and two operators at once."""

import os
import signal
import threading

import pytest

from lib.api import Refused, unique
from lib.provider import answer, never
from lib.wait import until


def finished(api, task, deadline=60):
    last = {}

    def over():
        last.update(api.call("GET", f"/api/tasks/{task['id']}"))
        return not last["is_running"]
    until(over, "the task is over", deadline)
    assert last["processed"] == last["total"], last
    return last


def import_text(api, group, keys):
    return api.call("POST", "/api/keys/add-async",
                    {"group_id": group.id, "keys_text": "\n".join(keys)})


def upload(api, group, name, content):
    boundary = "a-boundary"
    body = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"group_id\"\r\n\r\n"
            f"{group.id}\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; "
            f"filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{content}\r\n"
            f"--{boundary}--\r\n").encode()
    return api.raw("POST", "/api/keys/add-async", body=body, headers={
        "Content-Type": f"multipart/form-data; boundary={boundary}"})


def test_import_and_delete(api, provider):
    group = api.create_group(provider.origin)
    keys = [unique("k") for _ in range(2000)]
    task = import_text(api, group, keys + keys[:100])
    assert (task["task_type"], task["total"], task["is_running"]) == ("KEY_IMPORT", 2100, True)
    done = finished(api, task)
    assert done["result"] == {"added_count": 2000, "ignored_count": 100}
    assert done["duration_seconds"] >= 0
    assert group.stats()["key_stats"]["active_keys"] == 2000
    task = api.call("POST", "/api/keys/delete-async",
                    {"group_id": group.id, "keys_text": "\n".join(keys[:1500] + ["other"])})
    assert finished(api, task)["result"] == {"deleted_count": 1500, "ignored_count": 1}
    assert group.stats()["key_stats"]["total_keys"] == 500
    status = api.call("GET", f"/api/tasks/status?group_id={group.id}")
    assert (status["task_type"], status["is_running"]) == ("KEY_DELETE", False)


def test_upload(api, provider):
    group = api.create_group(provider.origin)
    keys = [unique("k") for _ in range(300)]
    got = upload(api, group, "Keys.TXT", "\r\n".join(keys))
    assert got.status == 200, got.text
    assert finished(api, got.json()["data"])["result"]["added_count"] == 300
    assert {row["key_value"] for row in group.key_list()} == set(keys)
    assert upload(api, group, "keys.csv", "x").json()["code"] == "VALIDATION_FAILED"
    for body in (b"", b"--a-boundary\r\n", b"--a-boundary--\r\n", b"x"):
        got = api.raw("POST", "/api/keys/add-async", body=body, headers={
            "Content-Type": "multipart/form-data; boundary=a-boundary"})
        assert (got.status, got.json()["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("path, body, status, code", [
    ("add-async", {}, 400, "INVALID_JSON"),
    ("add-async", {"group_id": 999999, "keys_text": "k"}, 404, "NOT_FOUND"),
    ("delete-async", {"group_id": 999999, "keys_text": " "}, 400, "VALIDATION_FAILED"),
    ("validate-group", {"group_id": 999999}, 404, "NOT_FOUND"),
    ("validate-group", {"group_id": 1, "status": "odd"}, 400, "VALIDATION_FAILED"),
    ("test-multiple", {"group_id": 999999, "keys_text": "k"}, 404, "NOT_FOUND"),
])
def test_refusals(api, path, body, status, code):
    got = api.raw("POST", "/api/keys/" + path, body)
    assert (got.status, got.json()["code"]) == (status, code)
    assert api.raw("GET", "/api/tasks/999999").status == 404


def test_validation_and_cancel(api, provider):
    provider.on(answer(401, json={"error": {"message": "no"}}), key="bad")
    group = api.create_group(provider.origin, keys=["bad", "good-1", "good-2"])
    group.configure(blacklist_threshold=1)
    task = api.call("POST", "/api/keys/validate-group", {"group_id": group.id})
    assert finished(api, task)["result"] == {
        "total_keys": 3, "valid_keys": 2, "invalid_keys": 1}
    assert group.status_of("bad") == "invalid"
    with pytest.raises(Refused) as refused:
        api.call("POST", "/api/tasks/999999/cancel")
    assert refused.value.code == "NOT_FOUND"
    assert api.call("POST", f"/api/tasks/{task['id']}/cancel")["state"] == "done"


def test_a_validation_says_that_it_runs_and_ends_with_its_group(api, provider):
    group = api.create_group(provider.origin, keys=[unique("k") for _ in range(30)])
    provider.on(never())
    task = api.call("POST", "/api/keys/validate-group", {"group_id": group.id})

    def state():
        return api.call("GET", f"/api/tasks/{task['id']}")["state"]
    until(lambda: state() == "running", "the task runs")
    group.delete()
    until(lambda: state() != "running", "the task ends", 10)
    shown = api.call("GET", f"/api/tasks/{task['id']}")
    assert (shown["state"], shown["error"]) == ("failed", f"there is no group {group.id}")


def test_keys_tested_side_by_side(api, provider):
    provider.on(answer(401, json={"error": {"message": "no such key"}}), key="bad")
    group = api.create_group(provider.origin, keys=["bad", "good-1", "good-2"])
    data = api.call("POST", "/api/keys/test-multiple", {
        "group_id": group.id, "keys_text": "good-1,bad,unknown,good-2"})
    by_key = {row["key_value"]: row for row in data["results"]}
    assert [row["key_value"] for row in data["results"]] == ["good-1", "bad", "unknown", "good-2"]
    assert [row["is_valid"] for row in data["results"]] == [True, False, False, True]
    assert "401" in by_key["bad"]["error"] and "no such key" in by_key["bad"]["error"]
    assert group.key("bad")["failure_count"] == 1


def test_two_operators_import_the_same(api, gateway, provider):
    group = api.create_group(provider.origin)
    keys = [unique("k") for _ in range(10_000)]
    answers = []

    def one():
        answers.append(api.raw("POST", "/api/keys/add-async",
                               {"group_id": group.id, "keys_text": "\n".join(keys)}))
    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.status for a in answers] == [200, 200], [a.text for a in answers]
    results = [finished(api, a.json()["data"])["result"] for a in answers]
    assert sum(r["added_count"] for r in results) == 10_000
    assert sum(r["ignored_count"] for r in results) == 10_000
    assert sorted(r["added_count"] for r in results) == [0, 10_000]
    stats = group.stats()["key_stats"]
    assert (stats["total_keys"], stats["active_keys"]) == (10_000, 10_000)


@pytest.mark.slow
def test_a_killed_background_goes_on(start_gateway, provider):
    gateway = start_gateway(workers=2)
    api = gateway.api
    group = api.create_group(provider.origin)
    n = 100_000
    keys = [f"sk-{i:06d}-0123456789abcdef0123456789abcdef" for i in range(n)]
    task = import_text(api, group, keys)
    for share in (0, 0.3, 0.6):  # again and again
        until(lambda s=share: api.call("GET", "/api/tasks/status")["processed"] > s * n,
              f"{share:.0%} are done", 60, every=0.01)
        for pid in gateway.workers():
            os.kill(pid, signal.SIGKILL)
    assert finished(api, task, 120)["result"] == {"added_count": n, "ignored_count": 0}
    stats = group.stats()["key_stats"]
    assert (stats["total_keys"], stats["active_keys"]) == (n, n)
    # The end state of an import without: each key once, in DB and pool, and usable.
    assert gateway.query("SELECT COUNT(*), COUNT(DISTINCT key_hash), COUNT(DISTINCT key_value) "
                         "FROM api_keys WHERE group_id = ? AND status = 'active'", group.id) \
        == [(n, n, n)]
    assert gateway.query("SELECT COUNT(*) FROM gptl_task_input") == [(0,)]
    until(lambda: gateway.query("SELECT COUNT(*) FROM gptl_outbox") == [(0,)], "the pool follows")
    assert gateway.ask(group).status == 200
