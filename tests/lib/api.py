# SPDX-License-Identifier: MIT
"""The management API as a test uses it: groups, keys, settings, log rows."""

import itertools
import json
import os
import urllib.parse

from .wait import until

_numbers = itertools.count(1)

TEST_MODEL = {
    "openai": "gpt-4.1-nano",
    "openai-response": "gpt-4.1-nano",
    "anthropic": "claude-3-haiku-20240307",
    "gemini": "gemini-2.0-flash-lite",
}


class Refused(AssertionError):
    """The API answered with an error; status and JSON code are kept."""

    def __init__(self, method, path, response):
        self.status = response.status
        self.answer = response.json()
        self.code = self.answer.get("code")
        super().__init__(f"{method} {path}: {response.status} {response.text}")


def unique(prefix="g"):
    """A group name or key that no other test of this run has."""
    return f"{prefix}-{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}-{next(_numbers)}"


class Group:
    """A group as the API returned it, with the paths that clients use."""

    def __init__(self, api, data, keys):
        self.api = api
        self.data = data
        self.id = data["id"]
        self.name = data["name"]
        self.keys = keys

    def path(self, rest=""):
        return f"/proxy/{self.name}{rest}"

    def update(self, **fields):
        self.data = self.api.call("PUT", f"/api/groups/{self.id}", fields)
        return self

    def configure(self, **overrides):
        """Replaces the group's setting overrides."""
        return self.update(config=overrides)

    def delete(self):
        self.api.call("DELETE", f"/api/groups/{self.id}")

    def key_list(self, **filters):
        query = {"group_id": self.id, "page_size": 1000, **filters}
        return self.api.call("GET", "/api/keys?" + urllib.parse.urlencode(query))["items"]

    def key(self, value):
        """The row of one key, by its value."""
        (row,) = self.key_list(key_value=value)
        return row

    def status_of(self, value):
        return self.key(value)["status"]

    def wait_status(self, value, status, deadline=20):
        until(lambda: self.status_of(value) == status, f"{value} is {status}", deadline)

    def restore(self, *values):
        return self.api.call("POST", "/api/keys/restore-multiple",
                             {"group_id": self.id, "keys_text": "\n".join(values)})

    def stats(self):
        return self.api.call("GET", f"/api/groups/{self.id}/stats")

    def logs(self, n=None, **filters):
        return self.api.logs(n, group_name=self.name, **filters)


class Api:
    def __init__(self, client, auth_key):
        self.client = client
        self.auth_key = auth_key

    def raw(self, method, path, value=None, body=None, headers=None):
        """The answer itself, whatever its status."""
        heads = {"Authorization": f"Bearer {self.auth_key}", "Accept-Language": "en-US",
                 **(headers or {})}
        return self.client.request(method, path, heads, json=value, body=body)

    def call(self, method, path, value=None):
        """`data` of a successful answer."""
        response = self.raw(method, path, value)
        if response.status != 200:
            raise Refused(method, path, response)
        answer = response.json()
        assert answer["code"] == 0, answer
        return answer.get("data")

    # --- groups ---

    def create_group(self, *upstreams, channel="openai", name=None, keys=(), **fields):
        """upstreams: URLs, or (URL, weight)."""
        pairs = [(u, 1) if isinstance(u, str) else u for u in upstreams]
        wanted = {
            "name": name or unique(),
            "channel_type": channel,
            "group_type": "standard",
            "upstreams": [{"url": url, "weight": weight} for url, weight in pairs],
            "test_model": TEST_MODEL.get(channel, "test-model"),
            **fields,
        }
        group = Group(self, self.call("POST", "/api/groups", wanted), list(keys))
        if keys:
            self.add_keys(group, keys)
        return group

    def create_aggregate(self, *members, channel="openai", name=None, **fields):
        """members: (Group, weight)."""
        wanted = {"name": name or unique("agg"), "channel_type": channel,
                  "group_type": "aggregate", **fields}
        group = Group(self, self.call("POST", "/api/groups", wanted), [])
        self.call("POST", f"/api/groups/{group.id}/sub-groups",
                  {"sub_groups": [{"group_id": m.id, "weight": w} for m, w in members]})
        return group

    def add_keys(self, group, keys):
        keys = list(keys)
        done = self.call("POST", "/api/keys/add-multiple",
                         {"group_id": group.id, "keys_text": json.dumps(keys)})
        assert done["added_count"] == len(keys), done
        return done

    # --- settings ---

    def settings(self):
        """Every system setting, name to value."""
        return {item["key"]: item["value"]
                for category in self.call("GET", "/api/settings")
                for item in category["settings"]}

    def set(self, **values):
        self.call("PUT", "/api/settings", values)

    # --- logs ---

    def logs(self, n=None, **filters):
        """Log rows, oldest first; with n, waits until there are that many."""
        query = urllib.parse.urlencode({"page_size": 1000, **filters})

        def rows():
            return self.call("GET", "/api/logs?" + query)["items"]
        if n is not None:
            until(lambda: len(rows()) >= n, f"{n} log rows of {filters}")
        return list(reversed(rows()))
