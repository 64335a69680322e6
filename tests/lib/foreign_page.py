# SPDX-License-Identifier: MIT
"""A page of another origin in a real Chromium without a window. The page runs a script
of the test and tells its own server what came of it."""

import http.server
import json
import queue
import shutil
import subprocess
import tempfile
import threading

CHROMIUM = shutil.which("chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
         "--disable-component-update", "--disable-default-apps", "--disable-extensions",
         "--no-default-browser-check", "--mute-audio")

PAGE = """<!DOCTYPE html><meta charset="utf-8"><title>another origin</title><script>
async function script() { %s }
script().then(value => ({value}), error => ({error: String(error)})).then(said =>
    fetch("/said", {method: "POST", body: JSON.stringify(said)}));
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = self.server.page if self.path == "/" else b""
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self.server.said.put(json.loads(said))

    def log_message(self, *arguments):
        pass


def run_in_page(script, deadline=60):
    """What `script` (the body of an async function) returned in a page whose origin is
    that of no gateway; what it throws fails the test."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.page = (PAGE % script).encode()
    server.said = queue.Queue()
    origin = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with tempfile.TemporaryDirectory(prefix="gpt-load-browser-",
                                     ignore_cleanup_errors=True) as folder:
        browser = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder}/profile",
             "--remote-debugging-port=0", origin + "/"],
            env={"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8"}, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            said = server.said.get(timeout=deadline)
        finally:
            browser.terminate()
            browser.wait(20)
            server.shutdown()
            thread.join()
            server.server_close()
    assert "error" not in said, said["error"]
    return said["value"]
