"""The clients, with and without asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

from .job import JOB_BYTES_MAX, Job
from .protocol import Call, Queue, Receipt, Result, Steps, T

if TYPE_CHECKING:
    import redis
    import redis.asyncio
    import redis.asyncio.cluster
    import redis.cluster


def _words(call: Call, command: str | None = None) -> tuple[Any, ...]:
    if call.script is None:
        return (call.name, *call.keys, *call.args)
    what = call.script.source if command == "EVAL" else call.script.sha1
    return (command, what, len(call.keys), *call.keys, *call.args)


def _pauses(timeout: float) -> Iterator[float]:
    """Pauses between two looks for a result, 20 ms doubling to 500 ms, until the time is over."""
    end, pause = time.monotonic() + timeout, 0.02
    while (left := end - time.monotonic()) > 0:
        yield min(pause, left)
        pause = min(2 * pause, 0.5)


class _Base:
    _is_async = False

    def __init__(self, redis: Any, queue: str = "default", *, cap: int | None = None, max_job_bytes: int = JOB_BYTES_MAX) -> None:
        """Enqueues into `queue`. `cap` refuses a job if its shard contains that many. `max_job_bytes` is that of the workers."""
        if not hasattr(redis, "execute_command"):
            raise TypeError(f"give a client of redis-py, as Redis.from_url(…), not {type(redis).__name__}")
        modules = [base.__module__ for base in type(redis).__mro__]
        is_async = any(module.startswith("redis.asyncio") for module in modules)
        if is_async != self._is_async and any(module.startswith("redis.") for module in modules):
            raise TypeError("Postrider takes a redis.Redis, and AsyncPostrider a redis.asyncio.Redis")
        self._redis = redis
        self._queue = Queue(queue, cap, max_job_bytes)

    @property
    def _server(self) -> tuple[str, int | None] | None:
        own = getattr(getattr(self._redis, "connection_pool", None), "connection_kwargs", {})
        if "host" in own:
            return own["host"], int(own.get("port", 6379))
        return (own["path"], None) if "path" in own else None


class Postrider(_Base):
    """A producer of jobs, on redis-py. Threads may share it."""

    def __init__(
        self,
        redis: redis.Redis | redis.cluster.RedisCluster,
        queue: str = "default",
        *,
        cap: int | None = None,
        max_job_bytes: int = JOB_BYTES_MAX,
    ) -> None:
        super().__init__(redis, queue, cap=cap, max_job_bytes=max_job_bytes)

    def enqueue(self, job: Job) -> Receipt:
        """Enqueues a job. Raises `InvalidJob` before anything is sent, `EnqueueError`, and the errors of redis-py."""
        return self._run(self._queue.enqueue(job, self._server))

    def enqueue_many(self, jobs: Iterable[Job]) -> list[Receipt]:
        """Enqueues many jobs, up to 1,000 and 1 MiB in each call of Redis. All are checked before. Raises `NotAllEnqueued`."""
        return self._run(self._queue.enqueue_many(list(jobs), self._server))

    def result(self, job: Receipt | str) -> Result | None:
        """The result of a job that has `result_ttl_ms`; `None` until it has ended, and after that time."""
        return self._run(self._queue.result(job))

    def wait(self, job: Receipt | str, timeout: float = 60) -> Result:
        """Waits for the result of a job that has `result_ttl_ms`. Raises `TimeoutError` after `timeout` seconds."""
        for pause in _pauses(timeout):
            if result := self.result(job):
                return result
            time.sleep(pause)
        raise TimeoutError(f"no result within {timeout} s; does the job have `result_ttl_ms`, and does a worker run?")

    def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    reply = self._call(call)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _call(self, call: Call) -> Any:
        try:
            return self._redis.execute_command(*_words(call, "EVALSHA"))
        except NoScriptError:
            return self._redis.execute_command(*_words(call, "EVAL"))


class AsyncPostrider(_Base):
    """A producer of jobs, on redis.asyncio."""

    _is_async = True

    def __init__(
        self,
        redis: redis.asyncio.Redis | redis.asyncio.cluster.RedisCluster,
        queue: str = "default",
        *,
        cap: int | None = None,
        max_job_bytes: int = JOB_BYTES_MAX,
    ) -> None:
        super().__init__(redis, queue, cap=cap, max_job_bytes=max_job_bytes)

    async def enqueue(self, job: Job) -> Receipt:
        """As `Postrider.enqueue`."""
        return await self._run(self._queue.enqueue(job, self._server))

    async def enqueue_many(self, jobs: Iterable[Job]) -> list[Receipt]:
        """As `Postrider.enqueue_many`."""
        return await self._run(self._queue.enqueue_many(list(jobs), self._server))

    async def result(self, job: Receipt | str) -> Result | None:
        """As `Postrider.result`."""
        return await self._run(self._queue.result(job))

    async def wait(self, job: Receipt | str, timeout: float = 60) -> Result:
        """As `Postrider.wait`."""
        for pause in _pauses(timeout):
            if result := await self.result(job):
                return result
            await asyncio.sleep(pause)
        raise TimeoutError(f"no result within {timeout} s; does the job have `result_ttl_ms`, and does a worker run?")

    async def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    reply = await self._call(call)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(reply)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def _call(self, call: Call) -> Any:
        try:
            return await self._redis.execute_command(*_words(call, "EVALSHA"))
        except NoScriptError:
            return await self._redis.execute_command(*_words(call, "EVAL"))
