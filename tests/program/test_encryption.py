# SPDX-License-Identifier: MIT
"""ENCRYPTION_KEY: keys at rest in the stored format of GPT-Load 1.4."""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PASSWORD = "a-Long-Passphrase-0123456789"


def derived():
    return hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"gpt-load-encryption-v1", 100_000,
                               32)


def opened(stored):
    raw = bytes.fromhex(stored)
    return AESGCM(derived()).decrypt(raw[:12], raw[12:], None).decode()


def sealed(key, nonce=bytes(12)):
    return (nonce + AESGCM(derived()).encrypt(nonce, key.encode(), None)).hex()


def digest(key):
    return hmac.new(derived(), key.encode(), hashlib.sha256).hexdigest()


def test_keys_are_encrypted_at_rest(start_gateway, provider):
    gateway = start_gateway(ENCRYPTION_KEY=PASSWORD, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-secret"])
    assert gateway.ask(group).status == 200
    assert provider.keys == ["sk-secret"]
    ((stored, hashed),) = gateway.query("SELECT key_value, key_hash FROM api_keys")
    assert stored == stored.lower()
    assert (opened(stored), hashed) == ("sk-secret", digest("sk-secret"))
    assert group.logs(1)[0]["key_value"] == "sk-secret"
    ((logged, hashed),) = gateway.query("SELECT key_value, key_hash FROM request_logs")
    assert (opened(logged), hashed) == ("sk-secret", digest("sk-secret"))
    assert group.key("sk-secret")["key_value"] == "sk-secret"


def test_a_key_stored_by_the_original_is_used(start_gateway, provider):
    gateway = start_gateway(ENCRYPTION_KEY=PASSWORD, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-other"])
    gateway.stop_web()
    gateway.stop_master()
    gateway.execute("UPDATE api_keys SET key_value = ?, key_hash = ?", sealed("sk-theirs"),
                    digest("sk-theirs"))
    gateway.lose_pool()
    gateway.start()
    assert gateway.ask(group).status == 200
    assert provider.keys == ["sk-theirs"]


def test_without_a_password_the_hash_is_plain(start_gateway, provider):
    gateway = start_gateway(workers=1)
    gateway.api.create_group(provider.origin, keys=["sk-plain"])
    assert gateway.query("SELECT key_value, key_hash FROM api_keys") \
        == [("sk-plain", hashlib.sha256(b"sk-plain").hexdigest())]


def test_a_password_that_does_not_open_the_stored_keys_is_refused(start_gateway, provider):
    gateway = start_gateway(ENCRYPTION_KEY=PASSWORD, workers=1)
    gateway.api.create_group(provider.origin, keys=["sk-a"])
    gateway.stop_web()
    gateway.stop_master()
    for wrong in ("another-Long-Passphrase-01234", None):
        gateway.set_environment(ENCRYPTION_KEY=wrong)
        done = gateway.command("prepare")
        assert done.returncode == 2
        assert "ENCRYPTION_KEY" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    gateway.set_environment(ENCRYPTION_KEY=PASSWORD)
    gateway.start()


def test_a_stored_key_that_cannot_be_opened_is_never_sent(start_gateway, provider):
    gateway = start_gateway(ENCRYPTION_KEY=PASSWORD, workers=1)
    group = gateway.api.create_group(provider.origin, keys=["sk-good", "sk-damaged"])
    gateway.stop_web()
    gateway.stop_master()
    gateway.execute("UPDATE api_keys SET key_value = 'feedface' || substr(key_value, 9)"
                    " WHERE key_hash = ?", digest("sk-damaged"))
    gateway.lose_pool()
    gateway.start()
    for _ in range(6):
        assert gateway.ask(group).status == 200
    assert set(provider.keys) == {"sk-good"}
