# SPDX-License-Identifier: MIT
"""An installation with something to see: groups of several kinds, keys in every state,
requests that went well and that failed."""

from lib import vendors

PROXY_KEY = "sk-client-Wq8Zr2Lk5Vn9Xc4"


def fill(gateway, provider, keys=60, requests=80):
    """Returns the groups by name."""
    api = gateway.api
    good = [f"sk-live-{n:04d}-{'abcdefghij'[n % 10] * 12}" for n in range(keys)]
    vendors.speak_openai(provider, set(good))
    chat = api.create_group((provider.origin, 3), (provider.origin + "/second", 0),
                            name="openai-main", keys=good, display_name="OpenAI main",
                            description="Production traffic of the assistant",
                            header_rules=[{"key": "X-Team", "value": "${GROUP_NAME}",
                                           "action": "set"}],
                            model_redirect_rules={"gpt-4o-mini": "gpt-4.1-nano"},
                            config={"max_retries": 2, "blacklist_threshold": 1})
    backup = api.create_group(provider.origin, name="openai-backup", keys=good[:5],
                              display_name="OpenAI backup")
    starved = api.create_group(provider.origin, name="openai-trial", display_name="Trial keys")
    api.create_group("https://generativelanguage.googleapis.com", channel="gemini",
                     name="gemini", display_name="Gemini")
    api.create_group("https://api.anthropic.com", channel="anthropic", name="anthropic",
                     display_name="Anthropic")
    both = api.create_aggregate((chat, 70), (backup, 30), (starved, 10), name="openai-all",
                                display_name="All OpenAI")
    bad = [f"sk-revoked-{n}-zzzzzzzzzzzz" for n in range(3)]
    api.add_keys(chat, bad)
    models = ["gpt-4.1-nano", "gpt-4.1", "gpt-4o-mini"]
    for n in range(requests):
        group = both if n % 4 == 0 else chat
        model = "error-400" if n % 9 == 0 else models[n % 3]
        gateway.ask(group, json={"model": model, "messages": [
            {"role": "user", "content": "Say hello."}]})
    ids = [row["id"] for row in chat.key_list()][:2]
    api.call("PUT", f"/api/keys/{ids[0]}/status", {"status": "disabled", "reason": "over budget"})
    api.call("PUT", f"/api/keys/{ids[1]}/notes", {"notes": "from the research account"})
    return {"chat": chat, "backup": backup, "both": both, "starved": starved}
