# SPDX-License-Identifier: MIT
"""Several nodes on one machine: each a Gateway (its own web server, data folder and
port) on the same database and the same Redis.

    with Cluster(engine, redis, nodes=3, workers=(4, 3, 3)) as cluster:
        cluster.nodes[0].api.create_group(...)
        cluster.query("SELECT ...")     # in the database
        cluster.kill(cluster.nodes[1])  # kill -9 of all of it
"""

import itertools
import os
import signal

from .gateway import Gateway, processes
from .wait import until

_databases = itertools.count()


def family(*roots):
    """These processes and all that came from them."""
    found, all_of_them = set(roots), processes()
    while True:
        more = {pid for pid, (parent, _) in all_of_them.items() if parent in found} - found
        if not more:
            return found
        found |= more


class Cluster:
    def __init__(self, engine, redis, nodes=3, workers=2, **environment):
        self.engine = engine
        self.dsn = engine.new_database()
        self.redis_dsn = redis.dsn(next(_databases) % 16) if redis else None
        if redis:
            redis.say("FLUSHALL")
        self.nodes = []
        self.environment = environment
        self.sizes = workers if isinstance(workers, tuple) else (workers,) * nodes

    def node(self, workers=2, **environment):
        """One more, not started."""
        one = Gateway(workers=workers, **{"DATABASE_DSN": self.dsn, "REDIS_DSN": self.redis_dsn,
                                          **self.environment, **environment})
        self.nodes.append(one)
        return one

    def __enter__(self):
        try:
            for workers in self.sizes:
                self.node(workers).start()
        except BaseException:
            self.stop(failed=True)
            raise
        return self

    def __exit__(self, kind, *exc):
        self.stop(failed=kind is not None)

    def stop(self, failed=False):
        nodes, self.nodes = self.nodes, []
        for one in nodes:
            one.stop(failed=failed)

    def query(self, sql):
        return self.engine.query(sql, self.dsn)

    def number(self, sql):
        ((value,),) = self.query(sql)
        return int(value or 0)

    def kill(self, node):
        """kill -9 of every process of the node, as when its machine loses power."""
        ours = [p for p in (node.master, node.web, node.api_master, node.logger) if p]
        every = family(*(p.pid for p in ours))
        for pid in every:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for process in ours:
            process.wait(10)
        node.master = node.web = node.api_master = node.logger = None
        until(lambda: not every & processes().keys(), "every process of the node is gone")

    # --- the lease ---

    def lease(self):
        """(process id of the holder, fencing number); (0, n) when nobody has it."""
        rows = self.query("SELECT holder, fence FROM gptl_lease WHERE name = 'jobs'")
        if not rows or not rows[0][0]:
            return 0, int(rows[0][1]) if rows else 0
        return int(rows[0][0].split(":")[-2]), int(rows[0][1])

    def holder(self):
        """The node whose worker holds the lease."""
        def found():
            pid, _ = self.lease()
            return next((n for n in self.nodes if n.master and pid in n.workers()), None)
        return until(found, "a node holds the lease")
