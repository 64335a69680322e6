# SPDX-License-Identifier: MIT
"""Many keys in a SQLite file, behind the backs of programs that are stopped."""

import hashlib
import sqlite3


def copy_key(file, value, n):
    """n more keys beside the one that has this value, in its group."""
    database = sqlite3.connect(file)
    database.create_function("sha256", 1, lambda s: hashlib.sha256(s.encode()).hexdigest(),
                             deterministic=True)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -200000")
    database.execute(
        "INSERT INTO api_keys (key_value, key_hash, group_id, status, created_at, updated_at) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "SELECT printf('sk-many-%032d', i), sha256(printf('sk-many-%032d', i)), group_id, "
        "status, created_at, updated_at FROM n, (SELECT * FROM api_keys WHERE key_value = ?)",
        (n, value))
    database.commit()
    database.close()
