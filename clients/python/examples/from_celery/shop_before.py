"""A shop that calls the systems of others with Celery and httpx.

celery -A shop_before worker
"""

from datetime import timedelta

import httpx
from celery import Celery

app = Celery("shop", broker="redis://localhost:6379/0", backend="redis://localhost:6379/1")
http = httpx.Client()
PASSWORD = "hunter2"


@app.task(autoretry_for=(httpx.HTTPError,), max_retries=5, retry_backoff=2, retry_backoff_max=600, acks_late=True)
def send_event(url, event):
    response = http.post(
        url,
        params={"version": 2},
        json=event,
        headers={"x-shop-event": event["type"]},
        auth=("shop", PASSWORD),
        timeout=10,
    )
    response.raise_for_status()


@app.task(autoretry_for=(httpx.TransportError,), max_retries=2)
def remind(customer, text):
    http.post("https://mail.example.org/send", data={"to": customer, "text": text}, timeout=5).raise_for_status()


@app.task
def charge(order):
    url = f"https://bank.example.org/charges/{order['id']}"
    return http.put(url, json={"cents": order["cents"]}, cookies={"tenant": "7"}).json()


def order_placed(order):
    send_event.delay(order["hook"], {"type": "placed", "id": order["id"], "customer": order["customer"]})
    remind.apply_async((order["customer"], "Is it good?"), countdown=3 * 86400)
    remind.apply_async((order["customer"], "Pay, please"), eta=order["due"], expires=order["due"] + timedelta(hours=1))


def is_paid(order):
    return charge.delay(order).get(timeout=30)["paid"]
