"""For the tests of programs that enqueue jobs: a fake that records them, and `deliver_now`, which delivers them with the real
worker to a sink in this process."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Union

import redis

from .client import Postrider
from .job import JOB_BYTES_MAX, Job, entries_of
from .protocol import Receipt, Result

Response = Union[int, "tuple[int, bytes | str]", "tuple[int, bytes | str, Mapping[str, str]]"]
#: The worker's process, and its log.
_Worker = tuple["subprocess.Popen[bytes]", Path]
#: Retries follow at once, and destinations may be private, since nothing is sent there.
_CONFIG = '[retry.default]\nbase = "20ms"\ncap = "20ms"\n[egress]\nallow = ["0.0.0.0/0", "::/0"]\n'
#: pip puts programs beside that of Python, which is not on the PATH if a virtual environment is not activated.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


class FakePostrider:
    """Records jobs instead of enqueueing them. It checks them as `Postrider` does, and knows keys for ever."""

    def __init__(self, *, max_job_bytes: int = JOB_BYTES_MAX) -> None:
        #: The jobs that would have been enqueued, in their order; not those whose key was known.
        self.jobs: list[Job] = []
        self._keys: dict[str, Receipt] = {}
        self._results: dict[str, Result] = {}
        self._max_job_bytes = max_job_bytes

    def enqueue(self, job: Job) -> Receipt:
        job.fields(self._max_job_bytes)
        if job.key is not None and (first := self._keys.get(job.key)):
            return replace(first, known=True)
        self.jobs.append(job)
        receipt = Receipt(f"{len(self.jobs)}-0")
        if job.key is not None:
            self._keys[job.key] = receipt
        return receipt

    def enqueue_many(self, jobs: Iterable[Job]) -> list[Receipt]:
        jobs = list(jobs)
        entries_of(jobs, self._max_job_bytes)
        return [FakePostrider.enqueue(self, job) for job in jobs]

    def finish(self, job: Receipt | str, status: int = 200, body: str | None = None, **members: Any) -> None:
        """Sets the result that `result` and `wait` return for a job. `members` are further ones of the JSON."""
        outcome = "succeeded" if 200 <= status < 300 else "dead"
        raw = {"outcome": outcome, "status": status, "attempts": 1, "body": body, **members}
        self._results[job.job_id if isinstance(job, Receipt) else job] = Result.parse(json.dumps(raw))

    def result(self, job: Receipt | str) -> Result | None:
        return self._results.get(job.job_id if isinstance(job, Receipt) else job)

    def wait(self, job: Receipt | str, timeout: float = 60) -> Result:
        if result := FakePostrider.result(self, job):
            return result
        raise TimeoutError("the test has not called `finish` for this job")


class AsyncFakePostrider(FakePostrider):
    """The same for programs that use `AsyncPostrider`."""

    async def enqueue(self, job: Job) -> Receipt:  # type: ignore[override]
        return super().enqueue(job)

    async def enqueue_many(self, jobs: Iterable[Job]) -> list[Receipt]:  # type: ignore[override]
        return super().enqueue_many(jobs)

    async def result(self, job: Receipt | str) -> Result | None:  # type: ignore[override]
        return super().result(job)

    async def wait(self, job: Receipt | str, timeout: float = 60) -> Result:  # type: ignore[override]
        return super().wait(job, timeout)


@dataclass(frozen=True)
class Request:
    """A request that the worker has sent. Names of headers are in small letters."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Delivered:
    """A job, its result, and all requests that were sent for it."""

    job: Job
    receipt: Receipt
    result: Result
    requests: list[Request] = field(default_factory=list)


def deliver_now(
    jobs: Iterable[Job],
    *,
    respond: Callable[[Request], Response] = lambda request: 200,
    config: str = _CONFIG,
    environment: Mapping[str, str] | None = None,
    binary: str | None = None,
    redis_url: str | None = None,
    timeout: float = 30,
) -> list[Delivered]:
    """Delivers jobs with a real worker, without their delays and callbacks, and returns their results, in their order.

    No request leaves this process: the worker's proxy is a sink here, which calls `respond` for each request. It returns a status,
    or a status with a body and headers; what it raises, this raises. A job for `https` is sent as `http`, so a secret needs `allow_http = true`.

    `config` is the worker's configuration file; by default, retries follow at once, and all addresses are allowed. `environment` has the variables that it names.
    `binary` is the program `postrider`: by default that of `POSTRIDER_BINARY`, or on the PATH (`pip install postrider`). Without a
    `redis_url`, `redis-server` is started for the time of the call. Raises `TimeoutError` if a job has not ended after `timeout` seconds,
    and `RuntimeError` if the worker ends, as it does with a wrong `config`; both contain its log.
    """
    jobs = list(jobs)
    program = binary or os.environ.get("POSTRIDER_BINARY") or shutil.which("postrider", path=_PATH)
    if program is None:
        raise FileNotFoundError("there is no program `postrider`: pip install postrider, or set POSTRIDER_BINARY")
    with tempfile.TemporaryDirectory() as folder, _redis(redis_url, folder) as url, _Sink(respond) as sink:
        queue = f"deliver_now_{os.getpid()}_{time.monotonic_ns()}"
        with redis.Redis.from_url(url) as connection:
            client = Postrider(connection, queue)
            receipts = client.enqueue_many([sink.redirect(job) for job in jobs])
            file = Path(folder, "postrider.toml")
            file.write_text(config)
            with _worker(program, url, queue, file, sink.port, environment or {}) as (worker, output):
                results = _results(client, receipts, time.monotonic() + timeout, worker)
                log = output.read_text()[-4000:]
                if len(results) < len(jobs) and worker.poll() is not None:
                    raise RuntimeError(f"the worker has ended with the code {worker.returncode}; its log:\n{log}")
                if len(results) < len(jobs):
                    raise TimeoutError(f"not all jobs ended within {timeout} s; the worker's log:\n{log}")
        if sink.error:
            raise sink.error
        # The job id, unless the job has its own header.
        keys = [
            {name.lower(): value for name, value in (job.headers or {}).items()}.get("idempotency-key", receipt.job_id)
            for job, receipt in zip(jobs, receipts)
        ]
        own = [[sent for sent in sink.requests if sent.headers.get("idempotency-key") == key] for key in keys]
        return [Delivered(*parts) for parts in zip(jobs, receipts, results, own)]


def _results(client: Postrider, receipts: list[Receipt], end: float, worker: subprocess.Popen[bytes]) -> list[Result]:
    """Those of the first jobs: up to one that has not ended when the time is over, or the worker ends."""
    results: list[Result] = []
    for receipt in receipts:
        while not (result := client.result(receipt)):
            if time.monotonic() > end or worker.poll() is not None:
                return results
            time.sleep(0.02)
        results.append(result)
    return results


def _parts(answer: Response) -> tuple[int, bytes, Mapping[str, str]]:
    status, body, headers = (answer, b"", {}) if isinstance(answer, int) else (*answer, {}) if len(answer) == 2 else answer
    return status, body.encode() if isinstance(body, str) else body, headers


class _Sink:
    """An HTTP proxy that answers itself."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self.requests: list[Request] = []
        #: The first error of `respond`.
        self.error: Exception | None = None
        self._secure: set[str] = set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                scheme, _, rest = self.path.partition("://")
                authority, slash, path = rest.partition("/")
                if authority in sink._secure:
                    scheme, authority = "https", authority.removesuffix(":443")
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, f"{scheme}://{authority}{slash}{path}", headers, body)
                sink.requests.append(request)
                try:
                    answer = respond(request)
                except Exception as error:
                    # A final status: the job ends.
                    answer = 400
                    sink.error = sink.error or error
                status, data, extra = _parts(answer)
                self.send_response(status)
                for name, value in {**extra, "content-length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else data)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._any
                raise AttributeError(name)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def redirect(self, job: Job) -> Job:
        url = job.url
        if match := re.fullmatch(r"https://([^/?#\\]*)(.*)", url.strip(" "), re.IGNORECASE | re.DOTALL):
            authority, rest = match.groups()
            authority += "" if re.search(r":[0-9]+$", authority) else ":443"
            self._secure.add(authority.rpartition("@")[2].lower())
            url = f"http://{authority}{rest}"
        return replace(job, url=url, delay_ms=None, not_before=None, on_success=None, on_failure=None, result_ttl_ms=3_600_000)

    def __enter__(self) -> _Sink:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def _redis(url: str | None, folder: str) -> Iterator[str]:
    if url is not None:
        yield url
        return
    names = (os.environ.get("POSTRIDER_REDIS_SERVER"), "redis-server", "valkey-server")
    server = next((path for name in names if name and (path := shutil.which(name))), None)
    if server is None:
        raise FileNotFoundError("there is no redis-server or valkey-server on the PATH: install one, or give `redis_url`")
    port = _free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "logfile": "redis.log"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with _stopped(subprocess.Popen([server, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)) as process:
        url, end = f"redis://127.0.0.1:{port}", time.monotonic() + 20
        with redis.Redis.from_url(url) as connection:
            while True:
                try:
                    connection.ping()
                    break
                except redis.RedisError:
                    if process.poll() is not None or time.monotonic() > end:
                        raise RuntimeError(f"{server} does not start") from None
                    time.sleep(0.01)
        yield url


@contextmanager
def _worker(program: str, url: str, queue: str, config: Path, proxy: int, environment: Mapping[str, str]) -> Iterator[_Worker]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POSTRIDER_"))}
    own |= {"POSTRIDER_REDIS_URL": url, **environment}
    words = ["worker", "--queue", queue, "--config", str(config), "--http-proxy", f"http://127.0.0.1:{proxy}"]
    log = config.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen([program, *words], env=own, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    with _stopped(process):
        yield process, log


@contextmanager
def _stopped(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
