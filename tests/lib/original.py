# SPDX-License-Identifier: MIT
"""Databases as GPT-Load 1.4 leaves them, with its peculiarities, and its own questions
to them.

    place = Original.sqlite(folder / "theirs.db", password=None)
    place.dsn, place.keys, place.rows …          # what is in it
    place.schema()                               # tables, columns, indexes, as they are
    place.windows(...), place.hours(...)         # what the original would answer

Its schema is written down here once more, by what is known of it, and not taken from
sql/: a mistake there would else be made twice. On SQLite its times are text in the zone
of the machine, and it compares them as text."""

import datetime
import hashlib
import hmac
import json
import os
import sqlite3
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ZONE = datetime.timezone(datetime.timedelta(hours=8))  # Asia/Shanghai
SALT = b"gpt-load-encryption-v1"

# name → [(column, type, rest)]; types are looked up in TYPES.
TABLES = {
    "system_settings": [
        ("id", "id", ""), ("setting_key", "varchar(255)", "NOT NULL UNIQUE"),
        ("setting_value", "text", "NOT NULL"), ("description", "varchar(512)", ""),
        ("created_at", "time", ""), ("updated_at", "time", "")],
    "groups": [
        ("id", "id", ""), ("name", "varchar(255)", "NOT NULL UNIQUE"),
        ("display_name", "varchar(255)", ""), ("proxy_keys", "text", ""),
        ("description", "varchar(512)", ""),
        ("group_type", "varchar(50)", "DEFAULT 'standard'"), ("upstreams", "json", "NOT NULL"),
        ("validation_endpoint", "varchar(255)", ""), ("channel_type", "varchar(50)", "NOT NULL"),
        ("sort", "number", "DEFAULT 0"), ("test_model", "varchar(255)", "NOT NULL"),
        ("param_overrides", "json", ""), ("config", "json", ""), ("header_rules", "json", ""),
        ("model_redirect_rules", "json", ""),
        ("model_redirect_strict", "bool", "DEFAULT false"), ("last_validated_at", "time", ""),
        ("created_at", "time", ""), ("updated_at", "time", "")],
    "group_sub_groups": [
        ("id", "id", ""), ("group_id", "ref", "NOT NULL"), ("sub_group_id", "ref", "NOT NULL"),
        ("weight", "number", "DEFAULT 0"), ("created_at", "time", ""), ("updated_at", "time", "")],
    "api_keys": [
        ("id", "id", ""), ("key_value", "text", "NOT NULL"), ("key_hash", "varchar(128)", ""),
        ("group_id", "ref", "NOT NULL"), ("status", "varchar(50)", "NOT NULL DEFAULT 'active'"),
        ("notes", "varchar(255)", "DEFAULT ''"), ("request_count", "number", "NOT NULL DEFAULT 0"),
        ("failure_count", "number", "NOT NULL DEFAULT 0"), ("last_used_at", "time", ""),
        ("created_at", "time", ""), ("updated_at", "time", "")],
    "request_logs": [
        ("id", "varchar(36)", "NOT NULL PRIMARY KEY"), ("timestamp", "time", "NOT NULL"),
        ("group_id", "ref", "NOT NULL"), ("group_name", "varchar(255)", ""),
        ("parent_group_id", "ref", ""), ("parent_group_name", "varchar(255)", ""),
        ("key_value", "text", ""), ("key_hash", "varchar(128)", ""), ("model", "varchar(255)", ""),
        ("is_success", "bool", "NOT NULL"), ("source_ip", "varchar(64)", ""),
        ("status_code", "number", "NOT NULL"), ("request_path", "varchar(500)", ""),
        ("duration", "number", "NOT NULL"), ("error_message", "text", ""),
        ("user_agent", "varchar(512)", ""),
        ("request_type", "varchar(20)", "NOT NULL DEFAULT 'final'"),
        ("upstream_addr", "varchar(500)", ""), ("is_stream", "bool", "NOT NULL"),
        ("request_body", "text", "")],
    "group_hourly_stats": [
        ("id", "id", ""), ("time", "time", "NOT NULL"), ("group_id", "ref", "NOT NULL"),
        ("success_count", "number", "NOT NULL DEFAULT 0"),
        ("failure_count", "number", "NOT NULL DEFAULT 0"),
        ("created_at", "time", ""), ("updated_at", "time", "")],
}

INDEXES = [
    ("UNIQUE ", "idx_group_sub", "group_sub_groups", "group_id, sub_group_id"),
    ("", "idx_api_keys_key_hash", "api_keys", "key_hash"),
    ("", "idx_api_keys_group_id", "api_keys", "group_id"),
    ("", "idx_api_keys_status", "api_keys", "status"),
    ("", "idx_api_keys_group_last_used_id", "api_keys", "group_id, last_used_at, id"),
    *(("", f"idx_request_logs_{column}", "request_logs", column)
      for column in ("timestamp", "group_id", "group_name", "parent_group_id",
                     "parent_group_name", "key_hash", "model", "request_type")),
    ("UNIQUE ", "idx_group_time", "group_hourly_stats", "time, group_id"),
    # Of versions before 1.4, which 1.4 itself drops when it starts.
    ("", "idx_group_key", "api_keys", "group_id, key_hash"),
    ("", "idx_api_keys_group_id_key_value", "api_keys", "group_id, key_hash, id"),
]

TYPES = {
    "sqlite": {"id": "integer PRIMARY KEY AUTOINCREMENT", "ref": "integer", "number": "integer",
               "bool": "numeric", "json": "json", "time": "datetime"},
    "mysql": {"id": "bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY",
              "ref": "bigint unsigned", "number": "bigint", "bool": "tinyint(1)", "json": "json",
              "time": "datetime(3)"},
    "pgsql": {"id": "bigserial PRIMARY KEY", "ref": "bigint", "number": "bigint",
              "bool": "boolean", "json": "jsonb", "time": "timestamptz"},
}

SETTINGS = {
    "app_url": "http://localhost:3001", "proxy_keys": "sk-theirs-client",
    "request_log_retention_days": "30", "request_log_write_interval_minutes": "1",
    "enable_request_body_logging": "false", "request_timeout": "600", "connect_timeout": "15",
    "idle_conn_timeout": "120", "response_header_timeout": "600",
    "max_idle_conns": "100", "max_idle_conns_per_host": "50", "proxy_url": "",
    "max_retries": "2", "blacklist_threshold": "1e+06",
    "failover_status_codes": "400-403,405-999", "key_validation_interval_minutes": "60",
    "key_validation_concurrency": "10", "key_validation_timeout_seconds": "20",
}


# --- keys, as it stores them ---


class Cipher:
    def __init__(self, password):
        self.key = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 100_000, 32) \
            if password else None

    def sealed(self, text):
        if self.key is None:
            return text
        nonce = os.urandom(12)
        return (nonce + AESGCM(self.key).encrypt(nonce, text.encode(), None)).hex()

    def opened(self, stored):
        if self.key is None:
            return stored
        raw = bytes.fromhex(stored)
        return AESGCM(self.key).decrypt(raw[:12], raw[12:], None).decode()

    def digest(self, text):
        if self.key is None:
            return hashlib.sha256(text.encode()).hexdigest()
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


# --- values as text of SQL ---


def go_text(moment):
    """As its SQLite driver writes a time: fractions without trailing zeros."""
    local = moment.astimezone(ZONE)
    fraction = f".{local.microsecond:06d}".rstrip("0").rstrip(".")
    return local.strftime("%Y-%m-%d %H:%M:%S") + fraction + "+08:00"


def literal(value, dialect):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return ("true" if value else "false") if dialect == "pgsql" else str(int(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.datetime):
        if dialect == "mysql":
            return value.astimezone(ZONE).strftime("'%Y-%m-%d %H:%M:%S.%f'")[:-4] + "'"
        return f"'{go_text(value)}'"
    text = str(value).replace("'", "''")
    return f"'{text}'".replace("\\", "\\\\") if dialect == "mysql" else f"'{text}'"


def quoted(name, dialect):
    return f"`{name}`" if dialect != "pgsql" else f'"{name}"'


def schema_sql(dialect):
    types = TYPES[dialect]
    for table, columns in TABLES.items():
        lines = [f"{quoted(name, dialect)} {types.get(kind, kind)} {rest}".strip()
                 for name, kind, rest in columns]
        if table == "api_keys":
            lines.append("CONSTRAINT fk_groups_api_keys FOREIGN KEY (group_id) REFERENCES "
                         f"{quoted('groups', dialect)}(id)")
        end = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" if dialect == "mysql" else ""
        yield f"CREATE TABLE {quoted(table, dialect)} ({', '.join(lines)}){end}"
    for unique, name, table, columns in INDEXES:
        listed = ", ".join(quoted(c, dialect) for c in columns.split(", "))
        yield (f"CREATE {unique}INDEX {quoted(name, dialect)} ON {quoted(table, dialect)} "
               f"({listed})")


class Original:
    """One such database. `ask(sql)` gives rows of a dialect's own types (SQLite) or of
    texts; `upstream` is where its groups send requests to."""

    def __init__(self, dialect, dsn, ask, password=None, upstream="http://127.0.0.1:9",
                 now=None):
        self.dialect = dialect
        self.dsn = dsn
        self.ask = ask
        self.password = password
        self.cipher = Cipher(password)
        self.upstream = upstream
        self.now = now or datetime.datetime.now(ZONE)
        self.rows = []  # (time, group id, success, kind) of request_logs
        for statement in schema_sql(dialect):
            self.ask(statement)
        self.before = self.schema()
        self._fill()

    # --- making ---

    @classmethod
    def sqlite(cls, path, **rest):
        def ask(sql):
            with sqlite3.connect(path, timeout=10) as database:
                found = database.execute(sql).fetchall()
            database.close()
            return found
        return cls("sqlite", str(path), ask, **rest)

    @classmethod
    def on(cls, engine, **rest):
        """On one of lib/engines.py."""
        dsn = engine.new_database()
        dialect = "mysql" if "@unix(" in dsn else "pgsql"
        return cls(dialect, dsn, lambda sql: engine.query(sql, dsn), **rest)

    def put(self, table, **values):
        self.put_many(table, [values])

    def put_many(self, table, rows):
        columns = ", ".join(quoted(c, self.dialect) for c in rows[0])
        texts = ", ".join("(" + ", ".join(literal(v, self.dialect) for v in row.values()) + ")"
                          for row in rows)
        self.ask(f"INSERT INTO {quoted(table, self.dialect)} ({columns}) VALUES {texts}")

    def _fill(self):
        stamps = {"created_at": self.now - datetime.timedelta(days=40),
                  "updated_at": self.now - datetime.timedelta(days=3)}
        self.put_many("system_settings", [
            {"setting_key": name, "setting_value": value, "description": "", **stamps}
            for name, value in SETTINGS.items()])
        self._fill_groups(stamps)
        self._fill_keys(stamps)
        self._fill_logs(stamps)

    def _fill_groups(self, stamps):
        usual = {"display_name": "", "proxy_keys": "", "description": "",
                 "validation_endpoint": "", "channel_type": "openai", "test_model": "gpt-4.1-nano",
                 **stamps}
        upstreams = json.dumps([{"url": self.upstream, "weight": 1}])
        # Numbers in exponent form, as JSON of Go writes large ones of a map.
        self.put("groups", name="first", group_type="standard", upstreams=upstreams, sort=1,
                 config='{"max_retries":1,"request_timeout":1.2e+03,"blacklist_threshold":null}',
                 param_overrides='{"max_completion_tokens":1e+06,"temperature":0.5}',
                 header_rules='[{"key":"X-Theirs","value":"yes","action":"set"}]',
                 model_redirect_rules='{"fast":"gpt-4.1-nano"}', model_redirect_strict=False,
                 **usual)
        # Columns that an older version never wrote, and the JSON null.
        self.put("groups", name="second", group_type="standard", upstreams=upstreams, sort=2,
                 config=None, param_overrides="null", header_rules=None,
                 model_redirect_rules=None, model_redirect_strict=None,
                 **{**usual, "proxy_keys": "sk-of-second, sk-other-of-second"})
        self.put("groups", name="both", group_type="aggregate", upstreams="[]", sort=3,
                 config="{}", param_overrides="{}", header_rules="[]",
                 model_redirect_rules="{}", model_redirect_strict=False,
                 **{**usual, "test_model": "-"})
        self.put("group_sub_groups", group_id=3, sub_group_id=1, weight=2, **stamps)
        self.put("group_sub_groups", group_id=3, sub_group_id=2, weight=1, **stamps)

    def _fill_keys(self, stamps):
        def row(group, text, status="active", hashed=True, **more):
            return {"key_value": self.cipher.sealed(text),
                    "key_hash": self.cipher.digest(text) if hashed is True else hashed,
                    "group_id": group, "status": status, "notes": "", "request_count": 0,
                    "failure_count": 0, "last_used_at": None, **more, **stamps}
        self.keys = ["sk-first-1", "sk-first-2", "sk-first-3", "sk-second-1", "sk-second-2"]
        self.put_many("api_keys", [
            row(1, "sk-first-1", request_count=41, notes="the first",
                last_used_at=self.now - datetime.timedelta(hours=2)),
            row(1, "sk-first-2", hashed=None),
            row(1, "sk-first-2", hashed=""),  # twice, and both of them without a hash
            row(1, "sk-first-3", status="invalid", failure_count=3),
            row(2, "sk-second-1"),
            row(2, "sk-second-1"),
            row(2, "sk-second-2", hashed=None)])

    def _fill_logs(self, stamps):
        logs = []
        hours = {}
        for minutes in range(7, 50 * 60, 31):
            moment = self.now - datetime.timedelta(minutes=minutes, microseconds=minutes * 1379)
            group = 1 + minutes % 2
            success = minutes % 3 > 0
            key = f"sk-{'first' if group == 1 else 'second'}-1"
            kind = "final" if minutes % 5 else "retry"
            self.rows.append((moment, group, success, kind))
            logs.append({
                "id": str(uuid.uuid4()), "timestamp": moment, "group_id": group,
                "group_name": "first" if group == 1 else "second", "parent_group_id": 0,
                "parent_group_name": "", "key_value": self.cipher.sealed(key),
                "key_hash": self.cipher.digest(key), "model": "gpt-4.1-nano",
                "is_success": success, "source_ip": "192.0.2.1",
                "status_code": 200 if success else 500, "request_path": "/proxy/first",
                "duration": minutes, "error_message": "", "user_agent": "", "request_type": kind,
                "upstream_addr": self.upstream, "is_stream": False, "request_body": ""})
            if kind == "final":
                hour = moment.replace(minute=0, second=0, microsecond=0)
                counts = hours.setdefault((hour, group), [0, 0])
                counts[not success] += 1
        self.put_many("request_logs", logs)
        self.put_many("group_hourly_stats", [
            {"time": hour, "group_id": group, "success_count": good, "failure_count": bad,
             **stamps} for (hour, group), (good, bad) in hours.items()])

    # --- looking ---

    def schema(self):
        """{what: how it is}: every table, column and index, and the order of columns."""
        if self.dialect == "sqlite":
            found = {f"{kind} {name}": sql for kind, name, sql in self.ask(
                "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' "
                "AND name NOT LIKE 'sqlite_%'")}
            for (table,) in self.ask("SELECT name FROM sqlite_master WHERE type = 'table' "
                                     "AND name NOT LIKE 'sqlite_%'"):
                found[f"table {table}"] = ""
                for at, *column in self.ask(f"PRAGMA table_info(`{table}`)"):
                    found[f"column {table}.{column[0]}"] = (at, *column)
            return found
        where = "DATABASE()" if self.dialect == "mysql" else "current_schema()"
        kind = "column_type" if self.dialect == "mysql" else "data_type"
        found = {f"column {table}.{column}": rest for table, column, *rest in self.ask(
            f"SELECT table_name, column_name, ordinal_position, {kind}, is_nullable, "
            "column_default, character_maximum_length FROM information_schema.columns "
            f"WHERE table_schema = {where}")}
        if self.dialect == "mysql":
            indexes = self.ask(
                "SELECT CONCAT(table_name, '.', index_name), GROUP_CONCAT(CONCAT(column_name, "
                "non_unique) ORDER BY seq_in_index) FROM information_schema.statistics "
                "WHERE table_schema = DATABASE() GROUP BY table_name, index_name")
        else:
            indexes = self.ask("SELECT tablename || '.' || indexname, indexdef FROM pg_indexes "
                               "WHERE schemaname = current_schema()")
        return {**found, **{f"index {name}": rest for name, rest in indexes}}

    def time(self, moment):
        return literal(moment, self.dialect)

    # --- what the original asks ---

    def count_logs(self, since, until):
        """Its card "requests per minute" and its log page: a window of request_logs."""
        ((n,),) = self.ask("SELECT COUNT(*) FROM request_logs WHERE timestamp >= "
                           f"{self.time(since)} AND timestamp < {self.time(until)} "
                           "AND request_type = 'final'")
        return int(n)

    def sum_hours(self, since, until):
        """Its cards of the last 24 hours: (successes, failures)."""
        ((good, bad),) = self.ask(
            "SELECT COALESCE(SUM(success_count), 0), COALESCE(SUM(failure_count), 0) "
            f"FROM group_hourly_stats WHERE time >= {self.time(since)} AND time < "
            f"{self.time(until)} AND group_id NOT IN (SELECT id FROM "
            f"{quoted('groups', self.dialect)} WHERE group_type = 'aggregate')")
        return int(good), int(bad)

    def newest_logs(self, n):
        """Ids of its log page."""
        return [row[0] for row in self.ask("SELECT id FROM request_logs ORDER BY timestamp DESC "
                                           f"LIMIT {n}")]

    def add_hourly(self, moment, group, good, bad):
        """What its writer of log rows does: the row of the hour grows, or is made."""
        hour = moment.astimezone(ZONE).replace(minute=0, second=0, microsecond=0)
        known = self.ask("SELECT id FROM group_hourly_stats WHERE group_id = "
                         f"{group} AND time = {self.time(hour)}")
        if known:
            self.ask(f"UPDATE group_hourly_stats SET success_count = success_count + {good}, "
                     f"failure_count = failure_count + {bad} WHERE id = {known[0][0]}")
        else:
            self.put("group_hourly_stats", time=hour, group_id=group, success_count=good,
                     failure_count=bad, created_at=moment, updated_at=moment)
        return bool(known)
