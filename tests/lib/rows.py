# SPDX-License-Identifier: MIT
"""Millions of rows, put into the SQLite file of a gateway that does not run: in SQL, with
the indexes made afterwards."""

import contextlib
import hashlib
import sqlite3
import time

# Times are text and sort as such: in the zone that the programs write, TZ's default.
ZONE, OFFSET = 8 * 3600, "+08:00"


@contextlib.contextmanager
def _without_indexes(path, table):
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -200000",
                   "temp_store = MEMORY"):
        database.execute("PRAGMA " + pragma)
    indexes = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND "
                               "tbl_name = ? AND sql IS NOT NULL", (table,)).fetchall()
    for name, _ in indexes:
        database.execute(f'DROP INDEX "{name}"')
    database.execute("BEGIN")
    yield database
    database.execute("COMMIT")
    for _, sql in indexes:
        database.execute(sql)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def fill_logs(path, n, groups, keys=1000, days=6, now=None):
    """n rows over the days before now, by groups (id, name) in turn: one in 20 a failure
    with 429 or 503, one in 40 a retry, one in 100,000 with an error of its own."""
    now = now or time.time()
    count = len(groups)
    names = " ".join(f"WHEN {i} THEN '{name}'" for i, (_, name) in enumerate(groups))
    ids = " ".join(f"WHEN {i} THEN {number}" for i, (number, _) in enumerate(groups))
    with _without_indexes(path, "request_logs") as database:
        database.create_function("sha", 1, lambda text: hashlib.sha256(text.encode()).hexdigest(),
                                 deterministic=True)
        database.execute("CREATE TEMP TABLE k AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL "
                         "SELECT i + 1 FROM n WHERE i < ? - 1) SELECT i, 'sk-logged-key-' || i "
                         "AS value, sha('sk-logged-key-' || i) AS hash FROM n", (keys,))
        database.execute("CREATE UNIQUE INDEX temp.k_i ON k(i)")
        database.execute(f"""
            INSERT INTO request_logs (id, timestamp, group_id, group_name, parent_group_id,
                key_value, key_hash, model, is_success, source_ip, status_code, request_path,
                duration, error_message, request_type, is_stream, gptl_request_id,
                gptl_prompt_tokens, gptl_completion_tokens, gptl_end, gptl_rolled)
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1)
            SELECT printf('%08x-0000-7000-8000-%012x', n.i, n.i),
                strftime('%Y-%m-%d %H:%M:%f', {ZONE} + ? + n.i * ?, 'unixepoch') || '{OFFSET}',
                CASE n.i % {count} {ids} END, CASE n.i % {count} {names} END, 0,
                k.value, k.hash, 'model-' || (n.i % 17), n.i % 20 <> 0,
                '10.0.' || (n.i % 200) || '.' || (n.i % 7),
                CASE WHEN n.i % 20 <> 0 THEN 200 WHEN n.i % 40 = 0 THEN 429 ELSE 503 END,
                '/v1/chat/completions', n.i % 4000,
                CASE WHEN n.i % 100000 = 777 THEN 'the odd one out' ELSE '' END,
                CASE WHEN n.i % 40 = 0 THEN 'retry' ELSE 'final' END, 0,
                printf('%08x-0000-7000-9000-%012x', n.i, n.i), n.i % 300, n.i % 500,
                'complete', 0
            FROM n JOIN k ON k.i = (n.i * 7919) % ?""",
                         (n, now - days * 86400, days * 86400 / n, keys))
        # As if the database had just been taken over.
        database.execute("DELETE FROM gptl_meta WHERE name IN ('rollup_at', 'rollup_done')")


def fill_keys(path, group_id, n, invalid_each=50, prefix="sk-filled-key"):
    """n keys; one in invalid_each is out; all but a tenth were used."""
    with _without_indexes(path, "api_keys") as database:
        database.create_function("sha", 1, lambda text: hashlib.sha256(text.encode()).hexdigest(),
                                 deterministic=True)
        database.execute(f"""
            INSERT INTO api_keys (key_value, key_hash, group_id, status, notes, last_used_at,
                request_count, failure_count, created_at, updated_at)
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ? - 1)
            SELECT ? || '-' || i, sha(? || '-' || i), ?,
                CASE WHEN i % ? = 0 THEN 'invalid' ELSE 'active' END, '',
                CASE WHEN i % 10 = 0 THEN NULL ELSE
                    strftime('%Y-%m-%d %H:%M:%f', 1700000000 + i, 'unixepoch') || '{OFFSET}' END,
                i % 100, i % 7, '2024-01-01 00:00:00+00:00', '2024-01-01 00:00:00+00:00'
            FROM n""", (n, prefix, prefix, group_id, invalid_each))
