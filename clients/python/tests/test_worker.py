"""What is for the tests of others, with the real worker: `POSTRIDER_BINARY` is the program."""

import asyncio
import base64
import os
import subprocess
import sys
import unittest
from pathlib import Path

from postrider_client import InvalidJob, InvalidSignature, Job, Verifier
from postrider_client.testing import AsyncFakePostrider, FakePostrider, deliver_now

EXAMPLE = Path(__file__).resolve().parents[1] / "examples/from_celery"
SECRETS = """
[secrets.acme]
keys = [{ env = "ACME_KEY" }, { env = "ACME_SEED" }]
allow_http = true
"""
KEY, SEED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_" + base64.b64encode(bytes([7] * 32)).decode()
#: That of the seed.
PUBLIC = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="


class DeliverNow(unittest.TestCase):
    def test_jobs_are_delivered_and_retried_without_their_delays(self):
        statuses = {"/flaky": [503, 200], "/wrong": [410], "/kept": [(201, "made", {"x-one": "1"})]}
        jobs = [
            Job("https://api.example.org/flaky?x=1", json={"order": 7}, label="order-7", delay_ms=3_600_000),
            Job("http://10.0.0.1:8080/wrong", method="put", headers={"idempotency-key": "own"}),
            Job("https://me:pw@API.example.org:8443/kept"),
        ]
        path = lambda request: "/" + request.url.split("/", 3)[3].split("?")[0]  # noqa: E731
        flaky, wrong, kept = deliver_now(jobs, respond=lambda request: statuses[path(request)].pop(0))
        self.assertEqual((flaky.result.succeeded, flaky.result.status, flaky.result.attempts), (True, 200, 2))
        self.assertEqual([request.url for request in flaky.requests], ["https://api.example.org/flaky?x=1"] * 2)
        self.assertEqual((flaky.requests[0].method, flaky.requests[0].json()), ("POST", {"order": 7}))
        self.assertEqual(flaky.requests[0].headers["postrider-label"], "order-7")
        self.assertEqual((wrong.result.outcome, wrong.result.reason, wrong.result.status), ("dead", "final_status", 410))
        self.assertEqual([(request.method, request.url) for request in wrong.requests], [("PUT", "http://10.0.0.1:8080/wrong")])
        self.assertEqual((kept.result.status, kept.result.body), (201, "made"))
        self.assertEqual(kept.requests[0].url, "https://api.example.org:8443/kept")
        self.assertEqual(kept.requests[0].headers["authorization"], "Basic bWU6cHc=")
        self.assertEqual([delivered.job for delivered in (flaky, wrong, kept)], jobs)

    def test_an_error_of_the_destination_is_that_of_the_test(self):
        def respond(request):
            raise AssertionError(f"no request was expected: {request.url}")

        with self.assertRaisesRegex(AssertionError, "no request was expected: http://sink.test/x"):
            deliver_now([Job("http://sink.test/x")], respond=respond)

    def test_a_job_that_does_not_end_is_an_error_with_the_log(self):
        config = '[retry.default]\nbase = "1h"\n'
        with self.assertRaisesRegex(TimeoutError, "not all jobs ended within 0.2 s; the worker's log:\n"):
            deliver_now([Job("http://sink.test/x")], respond=lambda request: 503, config=config, timeout=0.2)

    def test_a_worker_that_does_not_start_is_an_error_at_once(self):
        with self.assertRaisesRegex(RuntimeError, "the worker has ended with the code 2; its log:\n.*did you mean `retry`"):
            deliver_now([Job("http://sink.test/x")], config="[retri.default]")

    def test_the_signatures_of_the_worker_are_verified(self):
        jobs = [Job("http://sink.test/x", secret="acme", body=body) for body in ("", "Grüße ✓", b"\xff\0")]
        delivered = deliver_now(jobs, config=SECRETS, environment={"ACME_KEY": KEY, "ACME_SEED": SEED})
        for one in delivered:
            [request] = one.requests
            for key in (KEY, PUBLIC):
                self.assertEqual(Verifier(key).verify(request.headers, request.body), one.receipt.job_id)
            for verifier, body in (
                (Verifier(KEY), request.body + b" "),
                (Verifier("whpk_" + KEY[6:] + "AAAAAAAAAAA="), request.body),
            ):
                with self.assertRaises(InvalidSignature):
                    verifier.verify(request.headers, body)


class Fakes(unittest.TestCase):
    def test_a_fake_records_and_checks_jobs(self):
        fake = FakePostrider()
        first = fake.enqueue(Job("http://h/", label="one", key="k"))
        again, other = fake.enqueue_many([Job("http://h/", label="two", key="k"), Job("http://h/", label="three")])
        self.assertEqual([job.label for job in fake.jobs], ["one", "three"])
        self.assertEqual((again.job_id, again.known, other.known), (first.job_id, True, False))
        for enqueue in (fake.enqueue, lambda job: fake.enqueue_many([Job("http://h/"), job])):
            with self.assertRaises(InvalidJob):
                enqueue(Job("http://h/", label="a b"))
        self.assertEqual(len(fake.jobs), 2)
        with self.assertRaises(TimeoutError):
            fake.wait(first)
        fake.finish(first, 500, "no", reason="attempts")
        self.assertEqual((fake.wait(first).succeeded, fake.result(first.job_id).reason), (False, "attempts"))

    def test_a_fake_for_asyncio(self):
        async def run():
            fake = AsyncFakePostrider()
            receipt = await fake.enqueue(Job("http://h/"))
            await fake.enqueue_many([Job("http://h/")])
            fake.finish(receipt, body="yes")
            self.assertEqual((await fake.wait(receipt)).body, (await fake.result(receipt)).body)
            return len(fake.jobs)

        self.assertEqual(asyncio.run(run()), 2)


class Example(unittest.TestCase):
    def test_the_application_does_the_same_after_its_migration(self):
        path = os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path if folder)
        words = [sys.executable, "-m", "unittest", "test_shop"]
        done = subprocess.run(words, cwd=EXAMPLE, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Ran 3 tests", done.stderr)


if __name__ == "__main__":
    unittest.main()
