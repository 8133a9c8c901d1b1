"""Jobs, shards and signatures: without Redis."""

import base64
import unittest
from datetime import datetime, timedelta, timezone

import redis
import redis.asyncio
from conformance import cases, job

from postrider_client import AsyncPostrider, InvalidJob, InvalidSignature, Job, Postrider, Verifier
from postrider_client.protocol import Queue, crc16, homes

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def text(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


class Jobs(unittest.TestCase):
    def test_each_case(self):
        for case in cases("jobs"):
            with self.subTest(case["name"]):
                if "entry" in case:
                    entry = {name: text(value) for name, value in case["entry"].items()}
                    self.assertEqual(Job(**job(case["job"])).fields(), entry)
                    continue
                refused = case["refused"]
                # TypeError is Python's own, for a name that is not known or missing.
                with self.assertRaises((InvalidJob, TypeError)) as raised:
                    Job(**job(case["job"])).fields()
                error = raised.exception
                if isinstance(error, TypeError):
                    self.assertIn(refused["field"] or refused["error"], str(error))
                else:
                    self.assertIn(refused["error"], str(error))
                    self.assertIn(refused["field"], (error.field, None))

    def test_durations_and_times(self):
        at = datetime(2026, 12, 24, 19, 0, 0, 500, tzinfo=timezone(timedelta(hours=1)))
        fields = Job("http://h/", delay_ms=timedelta(minutes=10), not_before=at, timeout_ms=timedelta(seconds=1.5)).fields()
        self.assertEqual(fields, {"url": "http://h/", "delay_ms": "600000", "not_before": "1798135200000", "timeout_ms": "1500"})
        for wrong in ({"not_before": datetime(2026, 12, 24)}, {"delay_ms": timedelta(seconds=-1)}, {"json": {1: {2}}}):
            with self.assertRaises(InvalidJob) as raised:
                Job("http://h/", **wrong).fields()
            self.assertEqual(raised.exception.field, next(iter(wrong)))

    def test_what_is_no_text(self):
        for wrong in (
            {"label": 7},
            {"body": {"a": 1}},
            {"key": b"x"},
            {"retry": b"x"},
            {"body": "\ud800"},
            {"key": "x", "key_ttl": timedelta()},
        ):
            with self.assertRaises(InvalidJob, msg=wrong):
                Job("http://h/", **wrong).fields()
        self.assertEqual(repr(Job("http://h/", label="x")), "Job(url='http://h/', label='x')")

    def test_what_is_no_job(self):
        for wrong in ("http://h/", None, {"url": "http://h/"}):
            with self.assertRaisesRegex(TypeError, "give a Job, not"):
                next(Queue("default").enqueue(wrong))
            with self.assertRaisesRegex(TypeError, r"jobs\[1\] must be a Job, not"):
                next(Queue("default").enqueue_many([Job("http://h/"), wrong]))

    def test_a_client_of_the_other_kind(self):
        for client, connection in (
            (Postrider, redis.asyncio.Redis()),
            (AsyncPostrider, redis.Redis()),
            (AsyncPostrider, redis.RedisCluster.__new__(redis.RedisCluster)),
        ):
            with self.assertRaisesRegex(TypeError, "Postrider takes a redis.Redis"):
                client(connection)
        with self.assertRaisesRegex(TypeError, "give a client of redis-py, as Redis.from_url"):
            Postrider("redis://127.0.0.1")

    def test_what_is_no_job_id(self):
        for wrong in (None, "", "order-7", "7", 7):
            with self.assertRaisesRegex(ValueError, "or a job id"):
                next(Queue("default").result(wrong))
        for right in ("7-0", "7-0-callback"):
            next(Queue("default").result(right))

    def test_names_of_queues(self):
        for wrong in ("", "a}b", "a/1", ".", "..", "x" * 65, "é", "a\n"):
            with self.assertRaises(ValueError, msg=wrong):
                Queue(wrong)
        self.assertEqual(Queue("Mail_out.v2-x").key("jobs", 3), "postrider:{Mail_out.v2-x/3}:jobs")


class Shards(unittest.TestCase):
    def test_each_case(self):
        for case in cases("shards"):
            self.assertEqual(crc16(case["key"].encode()), case["crc16"])
            for number, shard in case["shards"].items():
                self.assertEqual(homes(case["key"], [int(number)]), [shard], case)


class Webhooks(unittest.TestCase):
    def test_each_case(self):
        for case in cases("webhooks"):
            with self.subTest(case["name"]):
                verifier = Verifier(*case["keys"])
                if "job_id" in case:
                    self.assertEqual(verifier.verify(case["headers"], case["body"].encode(), now=case["now"]), case["job_id"])
                    continue
                with self.assertRaisesRegex(InvalidSignature, case["error"]):
                    verifier.verify(case["headers"], case["body"], now=case["now"])

    def test_wrong_keys(self):
        for wrong in (
            "",
            "whsec_",
            "whsec_???",
            "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
            "whsec_c2hvcnQ=",
            "whpk_c2hvcnQ=",
        ):
            with self.assertRaises(ValueError, msg=wrong) as raised:
                Verifier(wrong)
            self.assertNotIn("c2hvcnQ", str(raised.exception))
        for missing in ((), (None,), (KEY, None), ([KEY],)):
            with self.assertRaisesRegex(ValueError, "give at least one key, each as a text"):
                Verifier(*missing)

    def test_a_body_that_was_parsed(self):
        headers = {"webhook-id": "7-0", "webhook-timestamp": "7", "webhook-signature": "v1,AAAA"}
        with self.assertRaisesRegex(TypeError, "give the body as it came, not dict"):
            Verifier(KEY).verify(headers, {"order": 7}, now=7)


if __name__ == "__main__":
    unittest.main()
