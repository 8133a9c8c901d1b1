"""A loop as many write it, with redis-py and httpx: `with_httpx.py REDIS_URL IN_FLIGHT`. It ends on SIGTERM.

Each job is a task, which acknowledges its own entry. A failed job is printed and stays unacknowledged. The limits of httpx are its
defaults: with 64 connections to keep, a job took more processor time.
"""

import asyncio
import sys
import traceback

import httpx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

import telemetry
from jobs import GROUP, KIND, STREAM, TRACER, connect, until_sigterm


async def deliver(redis, http, entry, fields) -> None:
    with TRACER.start_as_current_span(f"process {STREAM}", kind=KIND):
        response = await http.post(fields[b"url"].decode(), content=fields[b"body"])
        response.raise_for_status()
        async with redis.pipeline(transaction=False) as pipeline:
            await pipeline.xack(STREAM, GROUP, entry).xdel(STREAM, entry).execute()


async def work(redis_url: str, in_flight: int) -> None:
    redis = await connect(redis_url)
    slots = asyncio.Semaphore(in_flight)
    tasks = set()

    def ended(task) -> None:
        tasks.discard(task)
        slots.release()
        if not task.cancelled() and task.exception():
            traceback.print_exception(task.exception())

    async with httpx.AsyncClient() as http:
        while True:
            batches = await redis.xreadgroup(GROUP, "peer", {STREAM: ">"}, count=in_flight, block=1000)
            for _, entries in batches:
                for entry, fields in entries:
                    await slots.acquire()
                    task = asyncio.create_task(deliver(redis, http, entry, fields))
                    tasks.add(task)
                    task.add_done_callback(ended)


stop = telemetry.start(HTTPXClientInstrumentor().instrument)
asyncio.run(until_sigterm(work(sys.argv[1], int(sys.argv[2]))))
stop()
