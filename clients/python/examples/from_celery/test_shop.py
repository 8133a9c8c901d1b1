"""Both shops make the same requests. The second is delivered by the real worker."""

import base64
import json
import unittest
from datetime import datetime, timezone
from pathlib import Path
from unittest import mock

import httpx
import shop_after
import shop_before

from postrider_client.testing import FakePostrider, deliver_now

ORDER = {
    "id": "A-7",
    "customer": "zoë@example.org",
    "cents": 995,
    "hook": "https://hooks.example.com/in",
    "due": datetime(2026, 12, 13, 18, 0, tzinfo=timezone.utc),
}
#: The secret is sent without TLS here, and retries follow at once.
CONFIG = Path(__file__).with_name("postrider.toml").read_text()
CONFIG = CONFIG.replace("[secrets.shop]", "[secrets.shop]\nallow_http = true").replace('"2s"', '"10ms"').replace('"3m"', '"10ms"')
ENVIRONMENT = {"SHOP_PASSWORD": shop_before.PASSWORD}
PAID = b'{"paid":true}'


def described(method, url, headers, body):
    """What of a request is the shop's."""
    own = {name: headers.get(name) for name in ("content-type", "authorization", "cookie", "x-shop-event")}
    return {"method": method, "url": str(url), "body": body, **own}


def before(work):
    """The requests that Celery makes, with the options of each task."""
    requests, tasks = [], []

    def respond(request):
        requests.append(described(request.method, request.url, request.headers, request.read()))
        return httpx.Response(200, content=PAID)

    def run_now(task, arguments=(), keywords=None, **options):
        tasks.append(options)
        return task.apply(arguments, keywords)

    shop_before.http = httpx.Client(transport=httpx.MockTransport(respond))
    with mock.patch("celery.app.task.Task.apply_async", run_now):
        work(shop_before)
    return requests, tasks


def after(work, respond=lambda request: (200, PAID)):
    """The jobs of Postrider, and the requests that the worker makes."""
    fake = shop_after.postrider = FakePostrider()
    work(shop_after)
    delivered = deliver_now(fake.jobs, config=CONFIG, environment=ENVIRONMENT, respond=respond)
    requests = [described(sent.method, sent.url, sent.headers, sent.body) for one in delivered for sent in one.requests]
    return requests, fake.jobs, delivered


class Shop(unittest.TestCase):
    maxDiff = None

    def test_a_placed_order_makes_the_same_requests_at_the_same_times(self):
        requests, tasks = before(lambda shop: shop.order_placed(ORDER))
        self.assertEqual(len(requests), 3)
        sent, jobs, _ = after(lambda shop: shop.order_placed(ORDER))
        self.assertEqual(sent, requests)
        self.assertEqual(requests[0]["authorization"], "Basic " + base64.b64encode(b"shop:hunter2").decode())
        self.assertEqual(tasks[1], {"countdown": jobs[1].delay_ms.total_seconds()})
        self.assertEqual(tasks[2], {"eta": jobs[2].not_before, "expires": jobs[2].expires_at})

    def test_a_charge_returns_the_response(self):
        paid = []
        requests, _ = before(lambda shop: paid.append(shop.is_paid(ORDER)))

        def charge(shop):
            # Postrider gives the response to those who wait for it.
            with mock.patch.object(shop.postrider, "wait", lambda job, timeout: mock.Mock(body=PAID)):
                paid.append(shop.is_paid(ORDER))

        sent, _, [delivered] = after(charge)
        self.assertEqual((paid, json.loads(delivered.result.body)), ([True, True], {"paid": True}))
        self.assertEqual(sent, requests)

    def test_an_event_has_six_attempts_and_a_wrong_one_has_one(self):
        for status, attempts in ((503, 6), (400, 1)):
            event = lambda shop: shop.postrider.enqueue(shop.send_event(ORDER["hook"], {"type": "placed"}))  # noqa: E731, B023
            sent, _, [delivered] = after(event, respond=lambda request: status)  # noqa: B023
            self.assertEqual((len(sent), delivered.result.attempts, delivered.result.outcome), (attempts, attempts, "dead"))


if __name__ == "__main__":
    unittest.main()
