"""Makes a job of each line of standard input: `enqueue.py REDIS_URL URL`.

A job is an entry of a stream with the fields `url` and `body`. Lines that have arrived together are added in one pipeline.
"""

import sys

from redis import Redis

from jobs import STREAM


def main(redis_url: str, url: str) -> None:
    redis = Redis.from_url(redis_url)
    rest = b""
    while chunk := sys.stdin.buffer.read1(1 << 20):
        *bodies, rest = (rest + chunk).split(b"\n")
        pipeline = redis.pipeline(transaction=False)
        for body in bodies:
            pipeline.xadd(STREAM, {"url": url, "body": body})
        pipeline.execute()


main(*sys.argv[1:])
