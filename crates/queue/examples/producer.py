"""A producer in Python, with only the standard library: a job is one XADD.

python3 producer.py HOST PORT URL BODY

With the package redis, it is one line:
    redis.Redis(host, port).xadd("postrider:{default}:jobs", {"url": url, "body": body})
"""

import socket
import sys


def enqueue(host, port, fields, queue="default"):
    words = ["XADD", "postrider:{%s}:jobs" % queue, "*"]
    words += [part for field in fields.items() for part in field]
    words = [word.encode() for word in words]
    command = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(command)
        reply = connection.makefile("rb")
        head = reply.readline()
        if not head.startswith(b"$"):
            raise RuntimeError(head.decode().strip())
        return reply.readline().decode().strip()


if __name__ == "__main__":
    host, port, url, body = sys.argv[1:]
    print(enqueue(host, int(port), {"url": url, "body": body}))
