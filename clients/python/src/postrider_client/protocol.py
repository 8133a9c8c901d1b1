"""The producer's protocol: which calls of Redis enqueue a job. Pure: a generator yields calls and gets their replies, so that
the client with and without asyncio share it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from typing import Any, TypeVar, Union

from .job import JOB_BYTES_MAX, Job, entries_of, size_of
from .telemetry import Publishing

Value = Union[str, bytes, int]
T = TypeVar("T")

SHARDS_MAX = 64
#: How often an enqueue follows a number of shards that changes.
_MOVES_MAX = 5
#: Jobs and bytes of one call: it blocks Redis.
_CALL_JOBS_MAX, _CALL_BYTES_MAX = 1000, 1 << 20
#: How long a number of shards counts for jobs without a key, in seconds.
_COUNT_LIFETIME = 0.5


class EnqueueError(Exception):
    """A job was not enqueued. Errors of redis-py are not wrapped: after a timeout or a broken connection the job may be
    enqueued nevertheless, and only with a key the enqueue can be repeated without harm."""


class QueueFull(EnqueueError):
    """The shard has as many jobs as the cap allows."""

    def __init__(self, jobs: int, cap: int) -> None:
        super().__init__(f"the queue is full: it holds {jobs} jobs, and its cap is {cap}")
        self.jobs, self.cap = jobs, cap


class ShardsChanging(EnqueueError):
    """The number of shards changed again and again, and the key moved with it: repeat the call."""


class NotAllEnqueued(EnqueueError):
    """Redis has not confirmed all of many jobs. `receipts` has what it has confirmed, in the order of the jobs; `__cause__` is
    the error."""

    def __init__(self, receipts: list[Receipt | None], error: Exception) -> None:
        super().__init__(f"{sum(receipt is not None for receipt in receipts)} of {len(receipts)} jobs are enqueued: {error}")
        self.receipts = receipts


@dataclass(frozen=True)
class Receipt:
    """An enqueued job."""

    job_id: str
    #: The shard of the queue.
    shard: int = 0
    #: Whether the job existed before, under the same key.
    known: bool = False


@dataclass(frozen=True)
class Result:
    """The outcome of a job with `result_ttl_ms`. `raw` has all members of the JSON."""

    #: `succeeded` or `dead`.
    outcome: str
    #: The status code of the last response.
    status: int | None
    attempts: int
    #: Why it is dead.
    reason: str | None
    error: str | None
    #: The kept part of the last response's body.
    body: str | None
    raw: dict[str, Any] = field(repr=False)

    @property
    def succeeded(self) -> bool:
        return self.outcome == "succeeded"

    @classmethod
    def parse(cls, text: str | bytes) -> Result:
        raw = json.loads(text)
        get = raw.get
        return cls(get("outcome"), get("status"), get("attempts", 0), get("reason"), get("error"), get("body"), raw)


@dataclass(frozen=True)
class Call:
    """A command of Redis, or a script. All its keys have the same hash tag."""

    name: str
    keys: Sequence[str]
    args: Sequence[Value] = ()

    @property
    def script(self) -> Script | None:
        return SCRIPTS.get(self.name)


class Script:
    def __init__(self, name: str) -> None:
        self.source = resources.files(__package__).joinpath(f"lua/{name}.lua").read_text()
        self.sha1 = hashlib.sha1(self.source.encode()).hexdigest()


SCRIPTS = {name: Script(name) for name in ("enqueue", "enqueue_all", "claim_keys", "key_homes")}
Steps = Generator[Call, Any, T]


def crc16(data: bytes) -> int:
    """CRC16/XMODEM, as Redis Cluster uses it."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def homes(key: str, numbers: Iterable[int]) -> list[int]:
    """The shards that these numbers of shards select for a key, each once."""
    hashed = crc16(key.encode())
    return list(dict.fromkeys(hashed % min(max(number, 1), SHARDS_MAX) for number in numbers))


def text(reply: Any) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _flat(fields: dict[str, str | bytes]) -> list[Value]:
    return [part for pair in fields.items() for part in pair]


def _millis(ttl: timedelta) -> int:
    return ttl // timedelta(milliseconds=1)


class Queue:
    """The calls of a producer for one queue. The caller has prepared the fields of its jobs."""

    def __init__(self, name: str, cap: int | None = None, max_job_bytes: int = JOB_BYTES_MAX) -> None:
        if not re.fullmatch("[A-Za-z0-9_.-]{1,64}", name) or not name.strip("."):
            raise ValueError(f"a queue's name must be 1 to 64 letters, digits, `_`, `.` or `-`, and not only dots: {name!r}")
        self.name, self.cap, self.max_job_bytes = name, cap, max_job_bytes
        self._count = (0, 0.0)

    def key(self, what: str, shard: int = 0) -> str:
        tag = f"{self.name}/{shard}" if shard else self.name
        return f"postrider:{{{tag}}}:{what}"

    def enqueue(self, job: Job, server: tuple[str, int | None] | None = None) -> Steps[Receipt]:
        if not isinstance(job, Job):
            raise TypeError(f"give a Job, not {type(job).__name__}")
        fields = job.fields(self.max_job_bytes)
        with Publishing(self.name, server, [fields], self.max_job_bytes) as publishing:
            publishing.inject(fields)
            receipt = yield from self._place(fields, job)
            publishing.enqueued(0, receipt.job_id)
        return receipt

    def _place(self, fields: dict[str, str | bytes], job: Job) -> Steps[Receipt]:
        key, ttl = job.key, _millis(job.key_ttl)
        # The script counts the jobs in line only for the cap.
        line = [] if self.cap is None else ["order_waiting"]
        if key is None:
            count = yield from self.count()
            shard = random.randrange(count) if job.order is None else homes(job.order, [count])[0]
            jobs = self.key("jobs", shard)
            if self.cap is None:
                return Receipt(text((yield Call("XADD", [jobs], ["*", *_flat(fields)]))), shard)
            keys = [jobs, self.key("waiting", shard), jobs, self.key("order_waiting", shard)]
            return self._receipt((yield Call("enqueue", keys, [0, self.cap, 0, *_flat(fields)])), shard)
        seen = None
        for _ in range(_MOVES_MAX):
            numbers = yield from self._numbers(ttl)
            home, *former = homes(_route(job) or key, numbers[1:])
            for shard in former:
                claim = Call("claim_keys", [self.key(f"key:{key}", shard)], [numbers[0], ttl])
                if job_id := text((yield claim)[0]):
                    return Receipt(job_id, shard, known=True)
            keys = [self.key(what, home) for what in ("jobs", "waiting", f"key:{key}", *line)]
            args = [ttl, self.cap or 0, _changes(numbers, seen), *_flat(fields)]
            reply = yield Call("enqueue", keys, args)
            if text(reply[0]) != "m":
                return self._receipt(reply, home)
            seen = numbers
        raise ShardsChanging("the number of shards changes; repeat the call")

    def _receipt(self, reply: Sequence[Any], shard: int) -> Receipt:
        letter, answer = text(reply[0]), text(reply[1])
        if letter == "f":
            raise QueueFull(int(answer), self.cap or 0)
        return Receipt(answer, shard, known=letter == "k")

    def enqueue_many(self, jobs: Sequence[Job], server: tuple[str, int | None] | None = None) -> Steps[list[Receipt]]:
        entries = entries_of(jobs, self.max_job_bytes)
        receipts: list[Receipt | None] = [None] * len(jobs)
        try:
            with Publishing(self.name, server, entries, self.max_job_bytes) as publishing:
                if len(entries) == 1:
                    publishing.inject(entries[0])
                yield from self._place_many(jobs, entries, receipts, publishing)
        except Exception as error:
            raise NotAllEnqueued(receipts, error) from error
        return [receipt for receipt in receipts if receipt]

    def _place_many(
        self,
        jobs: Sequence[Job],
        entries: list[dict[str, str | bytes]],
        receipts: list[Receipt | None],
        publishing: Publishing,
    ) -> Steps[None]:
        ttls = [_millis(job.key_ttl) for job in jobs if job.key is not None]
        seen = None
        for _ in range(_MOVES_MAX):
            numbers = (yield from self._numbers(max(ttls))) if ttls else [0, (yield from self.count())]
            yield from self._claim_many(jobs, receipts, numbers)
            groups: dict[int, list[int]] = {}
            # Those without a key last: nothing is after them that could fail, and they must not be repeated.
            for index in sorted(_left(receipts), key=lambda index: _route(jobs[index]) is None):
                route = _route(jobs[index])
                groups.setdefault(-1 if route is None else homes(route, numbers[1:2])[0], []).append(index)
            for home, indices in groups.items():
                shard = random.randrange(numbers[1]) if home < 0 else home
                for call in _calls(indices, entries):
                    keys, args = [self.key("jobs", shard)], []
                    for index in call:
                        publishing.create(index, entries[index])
                        key, pairs = jobs[index].key, _flat(entries[index])
                        keys += [] if key is None else [self.key(f"key:{key}", shard)]
                        args += [0 if key is None else _millis(jobs[index].key_ttl), _changes(numbers, seen), len(pairs), *pairs]
                    reply = [text(part) for part in (yield Call("enqueue_all", keys, args))]
                    for index, letter, job_id in zip(call, reply[::2], reply[1::2]):
                        if letter != "m":
                            receipts[index] = Receipt(job_id, shard, known=letter == "k")
                            publishing.enqueued(index, job_id)
            if not _left(receipts):
                return
            seen = numbers
        raise ShardsChanging("the number of shards changes; repeat the call")

    def _claim_many(self, jobs: Sequence[Job], receipts: list[Receipt | None], numbers: list[int]) -> Steps[None]:
        former: dict[int, list[int]] = {}
        for index in _left(receipts):
            if jobs[index].key is not None:
                for shard in homes(_route(jobs[index]) or "", numbers[1:])[1:]:
                    former.setdefault(shard, []).append(index)
        for shard, indices in former.items():
            for at in range(0, len(indices), _CALL_JOBS_MAX):
                call = [index for index in indices[at : at + _CALL_JOBS_MAX] if receipts[index] is None]
                keys = [self.key(f"key:{jobs[index].key}", shard) for index in call]
                ttls = [_millis(jobs[index].key_ttl) for index in call]
                for index, job_id in zip(call, (yield Call("claim_keys", keys, [numbers[0], *ttls])) if call else []):
                    if job_id:
                        receipts[index] = Receipt(text(job_id), shard, known=True)

    def count(self) -> Steps[int]:
        """The number of shards, as it was half a second ago or later."""
        count, read = self._count
        if not count or time.monotonic() - read > _COUNT_LIFETIME:
            count = min(max(int((yield Call("HGET", [self.key("meta")], ["shards"])) or 1), 1), SHARDS_MAX)
            self._count = (count, time.monotonic())
        return count

    def _numbers(self, ttl: int) -> Steps[list[int]]:
        """How often the number of shards has changed, the present number, and the former ones that keys may be enqueued by."""
        return [int(number) for number in (yield Call("key_homes", [self.key("meta")], [ttl]))]

    def result(self, job: Receipt | str) -> Steps[Result | None]:
        """The result of a job; for a job id, that of any shard."""
        if isinstance(job, Receipt):
            shards: Iterable[int] = [job.shard]
            job = job.job_id
        elif not isinstance(job, str) or not re.fullmatch(r"[0-9]+-[0-9]+(-callback)?", job):
            raise ValueError(f"give what `enqueue` has returned, or a job id, as 1795396101000-0: {job!r:.64} is neither")
        else:
            counts = yield Call("HMGET", [self.key("meta")], ["shards", "shards_before"])
            shards = range(min(max(int(count or 1) for count in counts), SHARDS_MAX))
        for shard in shards:
            if found := (yield Call("GET", [self.key(f"result:{job}", shard)])):
                return Result.parse(found)
        return None


def _changes(numbers: list[int], seen: list[int] | None) -> int:
    # If the numbers are those by which a later change has claimed the key, Redis has lost that change.
    return 2**64 - 1 if numbers == seen else numbers[0]


def _route(job: Job) -> str | None:
    """The key that selects the shard of a job."""
    return job.key if job.order is None else job.order


def _left(receipts: list[Receipt | None]) -> list[int]:
    return [index for index, receipt in enumerate(receipts) if receipt is None]


def _calls(indices: list[int], entries: list[dict[str, str | bytes]]) -> Iterable[list[int]]:
    call: list[int] = []
    size = 0
    for index in indices:
        own = size_of(entries[index])
        if call and (len(call) == _CALL_JOBS_MAX or size + own > _CALL_BYTES_MAX):
            yield call
            call, size = [], 0
        call.append(index)
        size += own
    if call:
        yield call
