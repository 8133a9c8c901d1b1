"""The clients on a real Redis, and the spans that they make. `POSTRIDER_TEST_REDIS_URL` is its address, `POSTRIDER_TEST_CLUSTER_URL`
that of a node of a cluster, `POSTRIDER_BINARY` the program `postrider`."""

import asyncio
import os
import subprocess
import time
import unittest
from datetime import timedelta

import redis
import redis.asyncio
from conformance import cases, job
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from postrider_client import AsyncPostrider, EnqueueError, InvalidJob, Job, NotAllEnqueued, Postrider, QueueFull, Receipt

REDIS_URL = os.environ["POSTRIDER_TEST_REDIS_URL"]
CLUSTER_URL = os.environ["POSTRIDER_TEST_CLUSTER_URL"]
URL = "http://sink.test/x"
EXPORTER = InMemorySpanExporter()
PROVIDER = TracerProvider(sampler=ParentBased(ALWAYS_ON))
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))
trace.set_tracer_provider(PROVIDER)


class Blocking:
    """`AsyncPostrider` with the methods of `Postrider`, so that both pass the same tests."""

    _loop = asyncio.new_event_loop()
    _redis = None

    def __init__(self, _, queue, **how):
        if Blocking._redis is None:
            Blocking._redis = redis.asyncio.Redis.from_url(REDIS_URL)
            unittest.addModuleCleanup(Blocking._close)
        self._client = AsyncPostrider(Blocking._redis, queue, **how)

    def __getattr__(self, name):
        return lambda *arguments: self._loop.run_until_complete(getattr(self._client, name)(*arguments))

    @classmethod
    def _close(cls):
        cls._loop.run_until_complete(cls._redis.aclose())
        cls._loop.close()


class OnRedis(unittest.TestCase):
    client = Postrider

    @classmethod
    def setUpClass(cls):
        cls.redis = redis.Redis.from_url(REDIS_URL, decode_responses=True)
        cls.addClassCleanup(cls.redis.close)

    def setUp(self):
        self.queue = f"{type(self).__name__}.{self.id().rpartition('.')[2]}"[:60]

    def key(self, what, shard=0, queue=None):
        queue = queue or self.queue
        return f"postrider:{{{queue}/{shard}}}:{what}" if shard else f"postrider:{{{queue}}}:{what}"

    def entries(self, queue=None):
        return [fields for _, fields in self.redis.xrange(self.key("jobs", queue=queue))]


class Enqueue(OnRedis):
    def test_each_step_of_a_reshard(self):
        for number, case in enumerate(cases("reshard")):
            queue, jobs = f"{self.queue}.{number}", {}
            for step in case["steps"]:
                with self.subTest(case["name"], step=step):
                    self.step(self.client(self.redis, queue), queue, step, jobs)

    def step(self, client, queue, step, jobs):
        match step:
            case {"shards": number}:
                words = ["queues", "shards", queue, str(number), "--redis-url", REDIS_URL]
                subprocess.run([os.environ["POSTRIDER_BINARY"], *words], check=True, capture_output=True)
            case {"meta": meta}:
                now = str(int(self.redis.time()[0]) * 1000)
                self.redis.hset(
                    self.key("meta", queue=queue), mapping={name: text.replace("NOW", now) for name, text in meta.items()}
                )
            case {"put": put}:
                self.redis.set(self.key(f"key:{put['key']}", put["shard"], queue), put["value"], px=3_600_000)
            case {"holds": held}:
                self.assertEqual(self.redis.get(self.key(f"key:{held['key']}", held["shard"], queue)), held["value"])
            case {"enqueue": key}:
                receipt = client.enqueue(Job(URL, key=key, order=step.get("order"), key_ttl=timedelta(hours=1)))
                self.assertEqual((receipt.shard, receipt.known), (step["shard"], step["known"]))
                expected = step.get("job_id") or jobs.setdefault(step["job"], receipt.job_id)
                self.assertEqual(receipt.job_id, expected)
                self.assertLess(3_000_000, self.redis.pttl(self.key(f"key:{key}", receipt.shard, queue)))
            case {"enqueue_many": keys}:
                orders = step.get("order", [None] * len(keys))
                receipts = client.enqueue_many(
                    [Job(URL, key=key, order=order, key_ttl=timedelta(hours=1)) for key, order in zip(keys, orders, strict=True)]
                )
                for receipt, shard, known, name in zip(receipts, step["shard"], step["known"], step["jobs"], strict=True):
                    self.assertIn(shard, (receipt.shard, None))
                    self.assertEqual((receipt.known, receipt.job_id), (known, jobs.setdefault(name, receipt.job_id)))
            case _:
                self.fail(f"an unknown step: {step}")

    def test_a_job_without_a_key_goes_to_any_shard(self):
        self.redis.hset(self.key("meta"), "shards", 3)
        client = self.client(self.redis, self.queue)
        shards = {client.enqueue(Job(URL)).shard for _ in range(60)}
        self.assertEqual(shards, {0, 1, 2})

    def test_many_jobs_in_calls_of_a_thousand_and_a_mebibyte(self):
        client = self.client(self.redis, self.queue)
        calls = lambda: int(self.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0))  # noqa: E731
        client.enqueue_many([Job(URL)])
        before = calls()
        receipts = client.enqueue_many(Job(URL, label=f"job-{number}") for number in range(1500))
        self.assertEqual([fields["label"] for fields in self.entries()[1:]], [f"job-{number}" for number in range(1500)])
        self.assertEqual((len({receipt.job_id for receipt in receipts}), calls() - before), (1500, 2))
        client.enqueue_many([Job(URL, body=b"x" * 600_000)] * 3)
        self.assertEqual(calls() - before, 5)
        self.assertEqual(client.enqueue_many([]), [])

    def test_no_job_of_many_is_enqueued_if_one_is_wrong(self):
        with self.assertRaisesRegex(InvalidJob, r"^jobs\[1\]: field `label` must be") as raised:
            self.client(self.redis, self.queue).enqueue_many([Job(URL), Job(URL, label="a b")])
        self.assertEqual((raised.exception.field, raised.exception.index), ("label", 1))
        self.assertEqual(self.entries(), [])

    def test_an_error_in_the_middle_names_what_is_enqueued(self):
        self.redis.hset(self.key("meta"), "shards", 4)
        # The shard of the second call is no stream.
        self.redis.set(self.key("jobs", 3), "")
        with self.assertRaises(NotAllEnqueued) as raised:
            self.client(self.redis, self.queue).enqueue_many([Job(URL, key="a"), Job(URL, key="order-7")])
        error = raised.exception
        self.assertIsInstance(error.__cause__, redis.ResponseError)
        self.assertRegex(str(error), "^0 of 2 jobs are enqueued: .*WRONGTYPE")
        self.assertEqual(error.receipts, [None, None])
        with self.assertRaises(NotAllEnqueued) as raised:
            self.client(self.redis, self.queue).enqueue_many([Job(URL, key="order-7"), Job(URL, key="a")])
        self.assertEqual([receipt is not None for receipt in raised.exception.receipts], [True, False])

    def test_a_cap(self):
        client = self.client(self.redis, self.queue, cap=2)
        client.enqueue(Job(URL))
        client.enqueue(Job(URL, key="known"))
        for job in (Job(URL), Job(URL, key="new")):
            with self.assertRaises(QueueFull) as raised:
                client.enqueue(job)
            self.assertEqual((raised.exception.jobs, raised.exception.cap), (2, 2))
        self.assertTrue(client.enqueue(Job(URL, key="known")).known)
        self.assertTrue(issubclass(QueueFull, EnqueueError))

    def test_a_result(self):
        client = self.client(self.redis, self.queue)
        self.redis.hset(self.key("meta"), mapping={"shards": 1, "shards_before": 3})
        self.assertIsNone(client.result("7-0"))
        self.redis.set(
            self.key("result:7-0", 2), '{"outcome":"dead","status":null,"attempts":2,"reason":"attempts","error":"it failed"}'
        )
        for job in ("7-0", Receipt("7-0", 2)):
            result = client.result(job)
            self.assertEqual((result.succeeded, result.status, result.attempts, result.reason), (False, None, 2, "attempts"))
            self.assertEqual(client.wait(job), result)
        begin = time.monotonic()
        with self.assertRaises(TimeoutError):
            client.wait(Receipt("7-0"), 0.1)
        self.assertLess(time.monotonic() - begin, 5)

    def test_redis_may_forget_the_scripts(self):
        client = self.client(self.redis, self.queue)
        for key in ("a", "b"):
            self.redis.script_flush()
            self.assertFalse(client.enqueue(Job(URL, key=key)).known)

    def test_all_jobs_of_the_suite_are_left_for_the_worker(self):
        client = self.client(self.redis, f"python.{self.client.__name__}")
        for case in cases("jobs"):
            if "entry" in case:
                client.enqueue(Job(**job(case["job"])))


class EnqueueAsync(Enqueue):
    client = Blocking


class Cluster(unittest.TestCase):
    def test_each_shard_is_on_its_node(self):
        with redis.RedisCluster.from_url(CLUSTER_URL) as cluster:
            self.check(lambda queue: Postrider(cluster, queue), cluster)

    def test_each_shard_is_on_its_node_with_asyncio(self):
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        own = redis.asyncio.RedisCluster.from_url(CLUSTER_URL)

        class Client:
            def __init__(self, queue):
                self._client = AsyncPostrider(own, queue)

            def __getattr__(self, name):
                return lambda *arguments: loop.run_until_complete(getattr(self._client, name)(*arguments))

        with redis.RedisCluster.from_url(CLUSTER_URL) as cluster:
            self.check(Client, cluster)
        loop.run_until_complete(own.aclose())

    def check(self, client, cluster):
        queue = f"python.{self.id().rpartition('.')[2]}"
        cluster.hset(f"postrider:{{{queue}}}:meta", mapping={"shards": 8, "changes": 1, "homes": "4:9999999999999"})
        first = client(queue).enqueue_many([Job(URL, key=f"key-{number}") for number in range(50)])
        again = client(queue).enqueue_many([Job(URL, key=f"key-{number}") for number in range(50)])
        self.assertEqual([receipt.job_id for receipt in first], [receipt.job_id for receipt in again])
        self.assertEqual(({receipt.known for receipt in again}, len({receipt.shard for receipt in again})), ({True}, 8))
        self.assertEqual(client(queue).enqueue(Job(URL, key="key-7")).job_id, first[7].job_id)
        self.assertIsNone(client(queue).result(first[0].job_id))


class Spans(OnRedis):
    def setUp(self):
        super().setUp()
        EXPORTER.clear()
        self.postrider = self.client(self.redis, self.queue)

    def spans(self):
        """Those of the client, by name."""
        spans = [span for span in EXPORTER.get_finished_spans() if span.instrumentation_scope.name == "postrider-client"]
        EXPORTER.clear()
        return spans

    def test_one_job_is_in_the_trace_of_its_producer(self):
        tracer = trace.get_tracer("test")
        with tracer.start_as_current_span("checkout") as parent:
            token = context.attach(baggage.set_baggage("tenant", "7"))
            receipt = self.postrider.enqueue(Job(URL))
            context.detach(token)
        [span] = self.spans()
        server = self.redis.connection_pool.connection_kwargs
        self.assertEqual(
            (span.name, span.kind, span.parent.span_id),
            (f"publish {self.queue}", trace.SpanKind.PRODUCER, parent.context.span_id),
        )
        located = {"server.address": server["host"], "server.port": server["port"]}
        expected = {
            "messaging.system": "redis",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": self.queue,
            "messaging.message.id": receipt.job_id,
            **located,
        }
        self.assertEqual(dict(span.attributes), expected)
        [fields] = self.entries()
        self.assertEqual(
            fields["traceparent"], f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
        )
        self.assertEqual(fields["baggage"], "tenant=7")

    def test_each_of_many_jobs_has_its_own_trace(self):
        receipts = self.postrider.enqueue_many([Job(URL), Job(URL)])
        *created, publish = sorted(self.spans(), key=lambda span: span.name)
        self.assertEqual((publish.name, publish.kind), (f"publish {self.queue}", trace.SpanKind.CLIENT))
        self.assertEqual(publish.attributes["messaging.batch.message_count"], 2)
        for span, receipt, fields in zip(created, receipts, self.entries(), strict=True):
            self.assertEqual((span.name, span.kind, span.parent), (f"create {self.queue}", trace.SpanKind.PRODUCER, None))
            self.assertEqual(
                (span.attributes["messaging.operation.type"], span.attributes["messaging.message.id"]), ("create", receipt.job_id)
            )
            self.assertEqual([link.context.span_id for link in span.links], [publish.context.span_id])
            self.assertNotIn("server.address", span.attributes)
            self.assertIn(f"{span.context.trace_id:032x}", fields["traceparent"])

    def test_a_job_keeps_its_own_context(self):
        own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.postrider.enqueue(Job(URL, traceparent=own))
        self.postrider.enqueue(Job(URL, headers={"TraceParent": own}))
        self.assertEqual(
            [(fields.get("traceparent"), "TraceParent" in fields.get("headers", "")) for fields in self.entries()],
            [(own, False), (None, True)],
        )
        for span in self.spans():
            self.assertEqual((span.name, span.kind), (f"send {self.queue}", trace.SpanKind.CLIENT))
            self.assertEqual([f"{link.context.span_id:016x}" for link in span.links], ["b7ad6b7169203331"])

    def test_jobs_of_a_span_that_is_not_sampled_are_not_either(self):
        unsampled = trace.NonRecordingSpan(trace.SpanContext(7, 7, False, trace.TraceFlags(0)))
        with trace.use_span(unsampled):
            self.postrider.enqueue(Job(URL))
            self.postrider.enqueue_many([Job(URL), Job(URL)])
        self.assertEqual(self.spans(), [])
        parents = [fields["traceparent"] for fields in self.entries()]
        self.assertTrue(all(parent.endswith("-00") for parent in parents), parents)
        self.assertEqual(len({parent.split("-")[1] for parent in parents}), 3)

    def test_a_failure_is_an_error_of_the_span(self):
        self.redis.set(self.key("jobs"), "")
        with self.assertRaises(redis.ResponseError):
            self.postrider.enqueue(Job(URL))
        [span] = self.spans()
        self.assertEqual((span.status.status_code, span.attributes["error.type"]), (trace.StatusCode.ERROR, "WRONGTYPE"))
        self.redis.delete(self.key("jobs"))
        self.client(self.redis, self.queue, cap=1).enqueue(Job(URL))
        EXPORTER.clear()
        with self.assertRaises(QueueFull):
            self.client(self.redis, self.queue, cap=1).enqueue(Job(URL))
        self.assertEqual(self.spans()[0].attributes["error.type"], "refused")


class SpansAsync(Spans):
    client = Blocking


del OnRedis

if __name__ == "__main__":
    unittest.main()
