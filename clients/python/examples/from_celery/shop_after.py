"""The same shop with Postrider.

postrider worker --config postrider.toml
"""

import json
from datetime import timedelta

from postrider_client import Job, Postrider
from redis import Redis

postrider = Postrider(Redis())


def send_event(url, event):
    return Job(
        url,
        params={"version": 2},
        json=event,
        headers={"x-shop-event": event["type"]},
        secret="shop",
        retry="events",
        timeout_ms=timedelta(seconds=10),
    )


def remind(customer, text, **when):
    form = {"to": customer, "text": text}
    return Job("https://mail.example.org/send", form=form, retry="reminders", timeout_ms=timedelta(seconds=5), **when)


def charge(order):
    url = f"https://bank.example.org/charges/{order['id']}"
    cookies = {"cookie": "tenant=7"}
    return Job(
        url, method="PUT", json={"cents": order["cents"]}, headers=cookies, max_attempts=1, result_ttl_ms=timedelta(minutes=5)
    )


def order_placed(order):
    event = {"type": "placed", "id": order["id"], "customer": order["customer"]}
    postrider.enqueue_many(
        [
            send_event(order["hook"], event),
            remind(order["customer"], "Is it good?", delay_ms=timedelta(days=3)),
            remind(order["customer"], "Pay, please", not_before=order["due"], expires_at=order["due"] + timedelta(hours=1)),
        ]
    )


def is_paid(order):
    result = postrider.wait(postrider.enqueue(charge(order)), timeout=30)
    return json.loads(result.body)["paid"]
