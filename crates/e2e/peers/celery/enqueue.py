"""Calls the task for each line of standard input: `enqueue.py REDIS_URL URL`."""

import sys

from tasks import app, deliver


def main(redis_url: str, url: str) -> None:
    app.conf.broker_url = redis_url
    for body in sys.stdin:
        deliver.delay(url, body.rstrip("\n"))


main(*sys.argv[1:])
