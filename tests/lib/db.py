# SPDX-License-Identifier: MIT
"""Looking into the database behind a DATABASE_DSN, whichever of the three it is, by a
connection of the test's own. SQL is standard: "quoted" names, `||`, a `?` for a value."""

import contextlib
import datetime
import re
import sqlite3
import zoneinfo

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "mysql": "SELECT table_name FROM information_schema.tables"
             " WHERE table_schema = database()",
    "pgsql": "SELECT table_name FROM information_schema.tables"
             " WHERE table_schema = current_schema()",
}


def kind_of(dsn):
    if re.match(r"postgres(ql)?://", dsn):
        return "pgsql"
    return "mysql" if re.search(r"@(unix|tcp)\(", dsn) else "sqlite"


def connect(dsn):
    """The drivers are asked for when they are needed: the bench has neither."""
    kind = kind_of(dsn)
    if kind == "pgsql":
        import psycopg
        return psycopg.connect(dsn, autocommit=True)
    if kind == "mysql":
        import pymysql
        user, socket, name = re.fullmatch(r"(\w+)@unix\(([^)]+)\)/(\w+)(?:\?.*)?", dsn).groups()
        return pymysql.connect(unix_socket=socket, user=user, database=name, autocommit=True,
                               charset="utf8mb4", sql_mode="ANSI,STRICT_ALL_TABLES")
    return sqlite3.connect(f"file:{dsn}?mode=rw", uri=True, timeout=10, isolation_level=None)


class Database:
    """`zone` is the TZ that the programs have."""

    def __init__(self, dsn, zone):
        self.dsn = str(dsn)
        self.kind = kind_of(self.dsn)
        self.zone = zoneinfo.ZoneInfo(zone)

    @contextlib.contextmanager
    def cursor(self, sql, values=()):
        with contextlib.closing(connect(self.dsn)) as connection:
            with contextlib.closing(connection.cursor()) as cursor:
                if values and self.kind != "sqlite":
                    sql = sql.replace("%", "%%").replace("?", "%s")
                if values:
                    cursor.execute(sql, values)
                else:
                    cursor.execute(sql)
                yield cursor

    def query(self, sql, *values):
        """A list of tuples."""
        with self.cursor(sql, values) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, sql, *values):
        with self.cursor(sql, values):
            pass

    def tables(self):
        return [name for (name,) in self.query(TABLES[self.kind])]

    def rows(self, table):
        """Every row of the table, as column → value."""
        with self.cursor(f'SELECT * FROM "{table}"') as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    # --- times, which each database holds in its own way ---

    def stored(self, moment):
        """What a time column holds for that moment."""
        local = moment.astimezone(self.zone)
        if self.kind == "sqlite":
            return local.isoformat(" ")
        return local.replace(tzinfo=None) if self.kind == "mysql" else local

    def moment(self, cell):
        """The moment that a time column's value means."""
        if self.kind == "sqlite":
            return datetime.datetime.fromisoformat(cell)
        return cell.replace(tzinfo=self.zone) if self.kind == "mysql" else cell
