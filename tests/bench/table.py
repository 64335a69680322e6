# SPDX-License-Identifier: MIT
"""The results as one table for people, each budget beside what was measured."""

TARGETS = ("direct", "nginx", "gateway")
FORMAT = "{:<40}{:>11}{:>11}{:>11}   {}"


def shown(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


class Table:
    def __init__(self, results):
        self.results = results
        self.lines = [FORMAT.format("", *TARGETS, "budget")]

    def head(self, text):
        self.lines += ["", text]

    def row(self, what, values, limit=None, unit="", against=None):
        """values: by target, or the gateway's alone. limit: the most that `against`
        (the gateway's value unless given) may be."""
        if not isinstance(values, dict):
            values = {"gateway": values}
        against = values.get("gateway") if against is None else against
        verdict = ""
        if limit is not None and against is not None:
            verdict = f"{'OK  ' if against <= limit else 'MISS'} ≤ {limit:g} {unit}".rstrip()
        cells = (shown(values.get(target)) for target in TARGETS)
        self.lines.append(FORMAT.format("  " + what, *cells, verdict).rstrip())

    def each(self, section, field, factor=None):
        """{target: value} of one field of a section."""
        return {target: values[field] if factor is None else values[field] * factor
                for target, values in self.results[section].items()
                if target in TARGETS}


def load(t):
    for section in (name for name in t.results if name.startswith("load_")):
        t.head(f"{section.removeprefix('load_')} clients, as fast as it goes")
        t.row("requests/s", t.each(section, "per_second"))
        t.row("p50, ms", t.each(section, "p50_us", 1e-3))
        t.row("p99, ms", t.each(section, "p99_us", 1e-3))
        t.row("errors", t.each(section, "errors"), 0)


def cpu(t):
    used = t.results.get("cpu_us_per_request")
    if not used:
        return
    ours, nginx = used.get("gateway", {}), used.get("nginx", {}).get("nginx")
    t.head("processor time a request, µs")
    if nginx is not None:
        t.row("nginx", {"nginx": nginx})
    for part, value in ours.items():
        t.row(part, value)
    if ours and nginx:
        t.row("(lighttpd + responder) / nginx", (ours["lighttpd"] + ours["responder"]) / nginx,
              5, "×")


def flush(t):
    if "flush" in t.results:
        t.row("jobs thread a row, DB flush included", t.results["flush"]["us_per_row"], 50, "µs")


def rate(t):
    if "rate" not in t.results:
        return
    t.head("500 requests/s")
    for what in ("p50", "p99", "max"):
        t.row(f"{what}, ms", t.each("rate", f"{what}_us", 1e-3))
    t.row("errors", t.each("rate", "errors"), 0)
    added = t.results["rate"].get("added", {})
    for what, limit in (("p50", 0.3), ("p99", 1)):
        if added:
            t.row(f"added to nginx, {what}, ms", added[f"{what}_us"] / 1000, limit, "ms")


def redis(t):
    got = t.results.get("redis")
    if not got:
        return
    t.head("the key pool in Redis, on a Unix socket")
    t.row("p50 with the embedded pool, ms", got["p50_us"]["embedded"] / 1000)
    t.row("p50 with Redis, ms", got["p50_us"]["redis"] / 1000)
    t.row("errors", got["errors"], 0)
    t.row("added, p50, µs", got["added_p50_us"], 120, "µs")
    t.row(f"{got['keys']:,} keys loaded, s", got["load_seconds"], 20, "s")


def streams(t):
    if "streams" not in t.results:
        return
    first = next(iter(t.results["streams"].values()))
    t.head(f"{first['streams']:,} event streams at once")
    t.row("all open at once", t.each("streams", "all_open_at_once"))
    t.row("events lost", t.each("streams", "lost"), 0)
    t.row("errors", t.each("streams", "errors"), 0)
    t.row("delay p50, ms", t.each("streams", "p50_ms"))
    t.row("delay p99, ms", t.each("streams", "p99_ms"), 20, "ms")
    memory = {target: values["kb_per_stream"]
              for target, values in t.results["streams"].items()}
    t.row("memory a stream, KiB: nginx, responder",
          {"nginx": memory.get("nginx", {}).get("nginx"),
           "gateway": memory.get("gateway", {}).get("responder")}, 32, "KiB")
    t.row("memory a stream, KiB: lighttpd", memory.get("gateway", {}).get("lighttpd"))


def memory_and_start(t):
    t.head("memory and start")
    for who, kb in t.results.get("rss_kb", {}).items():
        t.row(f"resident after the load, MiB: {who}",
              {"nginx" if who == "nginx" else "gateway": kb / 1024})
    if "start" in t.results:
        t.row("idle worker, private, MiB", t.results["start"]["idle_private_kb"] / 1024, 6, "MiB")
        t.row("start to first answer, ms", t.results["start"]["first_answer_ms"], 30, "ms")


def keys_and_pick(t):
    if "add_keys" in t.results:
        t.head("keys")
        t.row(f"{t.results['add_keys']['keys']:,} added, s", t.results["add_keys"]["seconds"],
              5, "s")
    if "pick" not in t.results:
        return
    t.head("pick, µs")
    limits = {"10": 5, "1000000": 10}
    for keys, by_processes in t.results["pick"].items():
        t.row(f"{int(keys):,} keys", by_processes["1"], limits.get(keys), "µs")
        t.row(f"{int(keys):,} keys, four processes", by_processes["4"])


def text(results):
    t = Table(results)
    for part in (load, cpu, flush, rate, redis, streams, memory_and_start, keys_and_pick):
        part(t)
    return "\n".join(t.lines)
