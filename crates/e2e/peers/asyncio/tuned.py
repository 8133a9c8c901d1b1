"""A tuned loop: uvloop, hiredis, aiohttp, and one acknowledgement for all jobs that have ended: `tuned.py REDIS_URL IN_FLIGHT`.

It ends on SIGTERM. A failed job is printed and stays unacknowledged.
"""

import asyncio
import sys
import traceback

import aiohttp
import uvloop
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

import telemetry
from jobs import GROUP, KIND, STREAM, TRACER, connect, until_sigterm


class Loop:
    def __init__(self, redis, http, in_flight: int) -> None:
        self.redis, self.http = redis, http
        self.jobs = asyncio.Queue(in_flight)
        self.ended = []
        self.has_ended = asyncio.Event()

    async def read(self, in_flight: int) -> None:
        """Reads at most as many jobs as may be in flight, ahead of those that are."""
        while True:
            batches = await self.redis.xreadgroup(GROUP, "peer", {STREAM: ">"}, count=in_flight, block=1000)
            for _, entries in batches:
                for job in entries:
                    await self.jobs.put(job)

    async def send(self) -> None:
        """Sends one job after the other. As many of these run as jobs are in flight."""
        while True:
            entry, fields = await self.jobs.get()
            try:
                with TRACER.start_as_current_span(f"process {STREAM}", kind=KIND):
                    async with self.http.post(fields[b"url"].decode(), data=fields[b"body"]) as response:
                        response.raise_for_status()
                        await response.read()
            except aiohttp.ClientError:
                traceback.print_exc()
                continue
            self.ended.append(entry)
            self.has_ended.set()

    async def acknowledge(self) -> None:
        while True:
            await self.has_ended.wait()
            self.has_ended.clear()
            entries, self.ended = self.ended, []
            async with self.redis.pipeline(transaction=False) as pipeline:
                await pipeline.xack(STREAM, GROUP, *entries).xdel(STREAM, *entries).execute()


async def work(redis_url: str, in_flight: int) -> None:
    redis = await connect(redis_url)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as http:
        loop = Loop(redis, http, in_flight)
        senders = [loop.send() for _ in range(in_flight)]
        await asyncio.gather(loop.read(in_flight), loop.acknowledge(), *senders)


stop = telemetry.start(AioHttpClientInstrumentor().instrument)
uvloop.run(until_sigterm(work(sys.argv[1], int(sys.argv[2]))))
stop()
