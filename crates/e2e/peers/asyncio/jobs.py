"""What the workers have in common: the stream, its group, and the end on SIGTERM."""

import asyncio
import signal

from opentelemetry import trace
from redis.asyncio import Redis

STREAM = "jobs"
GROUP = "workers"
TRACER = trace.get_tracer("peer")
KIND = trace.SpanKind.CONSUMER


async def connect(redis_url: str) -> Redis:
    redis = Redis.from_url(redis_url)
    await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    return redis


async def until_sigterm(work) -> None:
    """Runs a coroutine until SIGTERM cancels it."""
    task = asyncio.create_task(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass
