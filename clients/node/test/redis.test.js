// The client on a real Redis, and the spans that it makes. `POSTRIDER_TEST_REDIS_URL` is its address, `POSTRIDER_TEST_CLUSTER_URL`
// that of a node of a cluster, `POSTRIDER_BINARY` the program `postrider`.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { SpanKind, SpanStatusCode, context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { Redis } from 'ioredis';

import { EnqueueError, InvalidJob, NotAllEnqueued, Postrider, QueueFull } from '../src/index.js';
import { cases, job } from './conformance.js';

const { POSTRIDER_TEST_REDIS_URL: REDIS_URL, POSTRIDER_TEST_CLUSTER_URL: CLUSTER_URL, POSTRIDER_BINARY } = process.env;
const URL = 'http://sink.test/x';
const HOUR_MS = 3_600_000;
const exporter = new InMemorySpanExporter();
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

const redis = new Redis(REDIS_URL);
after(() => redis.disconnect());
let number = 0;
let queue;
let client;
beforeEach(() => {
  queue = `node.${process.pid}.${(number += 1)}`;
  client = new Postrider(redis, { queue });
  exporter.reset();
});
const key = (what, shard = 0, own = queue) => `postrider:{${shard ? `${own}/${shard}` : own}}:${what}`;
const entries = async () => {
  const pairs = (list) => Object.fromEntries(list.flatMap((name, at) => (at % 2 ? [] : [[name, list[at + 1]]])));
  return (await redis.xrange(key('jobs'), '-', '+')).map(([, list]) => pairs(list));
};

describe('enqueue', () => {
  for (const { name, steps } of cases('reshard')) {
    test(name, async () => {
      const jobs = new Map();
      const isJob = (one, { job_id }) => assert.equal(job_id, jobs.get(one) ?? (jobs.set(one, job_id), job_id), one);
      for (const step of steps) {
        const own = new Postrider(redis, { queue });
        if (step.shards) {
          await promisify(execFile)(POSTRIDER_BINARY, ['queues', 'shards', queue, String(step.shards), '--redis-url', REDIS_URL]);
        } else if (step.meta) {
          const [seconds] = await redis.time();
          const meta = Object.entries(step.meta).map(([field, text]) => [field, text.replace('NOW', `${seconds}000`)]);
          await redis.hset(key('meta'), Object.fromEntries(meta));
        } else if (step.put) {
          await redis.set(key(`key:${step.put.key}`, step.put.shard), step.put.value, 'PX', HOUR_MS);
        } else if (step.holds) {
          assert.equal(await redis.get(key(`key:${step.holds.key}`, step.holds.shard)), step.holds.value);
        } else if (step.enqueue) {
          const receipt = await own.enqueue({ url: URL, key: step.enqueue, order: step.order, key_ttl_ms: HOUR_MS });
          assert.deepEqual([receipt.shard, receipt.known], [step.shard, step.known], JSON.stringify(step));
          if (step.job_id) assert.equal(receipt.job_id, step.job_id);
          else isJob(step.job, receipt);
        } else {
          const receipts = await own.enqueueMany(step.enqueue_many.map((one, at) => ({ url: URL, key: one, order: step.order?.[at], key_ttl_ms: HOUR_MS })));
          assert.deepEqual(receipts.map(({ known }) => known), step.known);
          assert.deepEqual(receipts.map(({ shard }, at) => (step.shard[at] === null ? null : shard)), step.shard);
          receipts.forEach((receipt, at) => isJob(step.jobs[at], receipt));
        }
      }
    });
  }

  test('a job without a key goes to any shard', async () => {
    await redis.hset(key('meta'), 'shards', 3);
    const receipts = await Promise.all(Array.from({ length: 60 }, () => client.enqueue({ url: URL })));
    assert.deepEqual([...new Set(receipts.map(({ shard }) => shard))].sort(), [0, 1, 2]);
  });

  test('many jobs in calls of a thousand and a mebibyte', async () => {
    const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
    await client.enqueueMany([{ url: URL }]);
    const before = await calls();
    const labels = Array.from({ length: 1500 }, (_, index) => `job-${index}`);
    const receipts = await client.enqueueMany(labels.map((label) => ({ url: URL, label })));
    assert.deepEqual((await entries()).slice(1).map(({ label }) => label), labels);
    assert.equal(new Set(receipts.map(({ job_id }) => job_id)).size, 1500);
    assert.equal((await calls()) - before, 2);
    await client.enqueueMany(Array.from({ length: 3 }, () => ({ url: URL, body: new Uint8Array(600_000) })));
    assert.equal((await calls()) - before, 5);
    assert.deepEqual(await client.enqueueMany([]), []);
  });

  test('no job of many is enqueued if one is wrong', async () => {
    await assert.rejects(client.enqueueMany([{ url: URL }, { url: URL, label: 'a b' }]), InvalidJob);
    assert.deepEqual(await entries(), []);
  });

  test('an error in the middle names what is enqueued', async () => {
    await redis.hset(key('meta'), 'shards', 4);
    await redis.set(key('jobs', 3), '');
    const isExpected = (error) => {
      assert.ok(error instanceof NotAllEnqueued && error.cause.message.includes('WRONGTYPE'), String(error));
      assert.match(error.message, /^1 of 2 jobs are enqueued: .*WRONGTYPE/);
      assert.deepEqual(error.receipts.map(Boolean), [true, false]);
      return true;
    };
    await assert.rejects(client.enqueueMany([{ url: URL, key: 'order-7' }, { url: URL, key: 'a' }]), isExpected);
  });

  test('a cap', async () => {
    const capped = new Postrider(redis, { queue, cap: 2 });
    await capped.enqueue({ url: URL });
    await capped.enqueue({ url: URL, key: 'known' });
    for (const job of [{ url: URL }, { url: URL, key: 'new' }]) {
      const isExpected = (error) => error instanceof QueueFull && error instanceof EnqueueError && error.jobs === 2 && error.cap === 2;
      await assert.rejects(capped.enqueue(job), isExpected);
    }
    assert.equal((await capped.enqueue({ url: URL, key: 'known' })).known, true);
  });

  test('a result', async () => {
    await redis.hset(key('meta'), 'shards', 1, 'shards_before', 3);
    assert.equal(await client.result('7-0'), null);
    await redis.set(key('result:7-0', 2), '{"outcome":"dead","status":null,"attempts":2,"reason":"attempts"}');
    for (const job of ['7-0', { job_id: '7-0', shard: 2 }]) {
      const result = await client.wait(job);
      assert.deepEqual([result.outcome, result.attempts, result.reason], ['dead', 2, 'attempts']);
    }
    await assert.rejects(client.wait({ job_id: '7-0', shard: 0 }, { timeoutMs: 100 }), /no result within 100 ms/);
  });

  test('Redis may forget the scripts', async () => {
    for (const own of ['a', 'b']) {
      await redis.script('FLUSH');
      assert.equal((await client.enqueue({ url: URL, key: own })).known, false);
    }
  });

  test('all jobs of the suite are left for the worker', async () => {
    const left = new Postrider(redis, { queue: 'node' });
    for (const one of cases('jobs').filter(({ entry }) => entry)) await left.enqueue(job(one.job));
  });
});

test('each shard of a queue is on its node of a cluster', async () => {
  const cluster = new Redis.Cluster([CLUSTER_URL]);
  try {
    await cluster.hset(key('meta'), { shards: 8, changes: 1, homes: '4:9999999999999' });
    const own = new Postrider(cluster, { queue });
    const jobs = Array.from({ length: 50 }, (_, index) => ({ url: URL, key: `key-${index}` }));
    const [first, again] = [await own.enqueueMany(jobs), await own.enqueueMany(jobs)];
    assert.deepEqual(again.map(({ job_id, known }) => [job_id, known]), first.map(({ job_id }) => [job_id, true]));
    assert.equal(new Set(again.map(({ shard }) => shard)).size, 8);
    assert.equal((await own.enqueue(jobs[7])).job_id, first[7].job_id);
    assert.equal(await own.result(first[0].job_id), null);
  } finally {
    cluster.disconnect();
  }
});

describe('spans', () => {
  const spans = () => exporter.getFinishedSpans().filter((span) => span.instrumentationScope.name === 'postrider-client');

  test('one job is in the trace of its producer', async () => {
    const parent = trace.getTracer('test').startSpan('checkout');
    const own = propagation.setBaggage(trace.setSpan(context.active(), parent), propagation.createBaggage({ tenant: { value: '7 é' } }));
    const { job_id } = await context.with(own, () => client.enqueue({ url: URL }));
    const [span] = spans();
    assert.deepEqual([span.name, span.kind, span.parentSpanContext.spanId], [`publish ${queue}`, SpanKind.PRODUCER, parent.spanContext().spanId]);
    assert.deepEqual(span.attributes, {
      'messaging.system': 'redis',
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
      'messaging.destination.name': queue,
      'server.address': redis.options.host,
      'server.port': redis.options.port,
      'messaging.message.id': job_id,
    });
    const [fields] = await entries();
    assert.equal(fields.traceparent, `00-${span.spanContext().traceId}-${span.spanContext().spanId}-01`);
    assert.equal(fields.baggage, 'tenant=7%20%C3%A9');
  });

  test('each of many jobs has its own trace', async () => {
    const receipts = await client.enqueueMany([{ url: URL }, { url: URL }]);
    const [publish] = spans().filter(({ name }) => name.startsWith('publish'));
    assert.deepEqual([publish.kind, publish.attributes['messaging.batch.message_count']], [SpanKind.CLIENT, 2]);
    const created = spans().filter(({ name }) => name === `create ${queue}`);
    const fields = await entries();
    assert.equal(created.length, 2);
    for (const [at, span] of created.entries()) {
      assert.deepEqual([span.kind, span.parentSpanContext, span.links[0].context.spanId], [SpanKind.PRODUCER, undefined, publish.spanContext().spanId]);
      assert.deepEqual([span.attributes['messaging.message.id'], span.attributes['server.address']], [receipts[at].job_id, undefined]);
      assert.ok(fields[at].traceparent.includes(span.spanContext().traceId));
    }
  });

  test('a job keeps its own context', async () => {
    const own = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await client.enqueue({ url: URL, traceparent: own });
    await client.enqueue({ url: URL, headers: { TraceParent: own } });
    assert.deepEqual((await entries()).map(({ traceparent }) => traceparent), [own, undefined]);
    for (const span of spans()) {
      assert.deepEqual([span.name, span.kind, span.links[0].context.spanId], [`send ${queue}`, SpanKind.CLIENT, 'b7ad6b7169203331']);
    }
    assert.equal(spans().length, 2);
  });

  test('jobs of a span that is not sampled are not either', async () => {
    const unsampled = trace.wrapSpanContext({ traceId: '7'.repeat(32), spanId: '7'.repeat(16), traceFlags: 0 });
    await context.with(trace.setSpan(context.active(), unsampled), async () => {
      await client.enqueue({ url: URL });
      await client.enqueueMany([{ url: URL }, { url: URL }]);
    });
    const parents = (await entries()).map(({ traceparent }) => traceparent);
    assert.ok(parents.every((parent) => parent.endsWith('-00')), String(parents));
    assert.deepEqual([new Set(parents.map((parent) => parent.split('-')[1])).size, spans().length], [3, 0]);
  });

  test('a failure is an error of the span', async () => {
    await redis.set(key('jobs'), '');
    await assert.rejects(client.enqueue({ url: URL }), /WRONGTYPE/);
    const [span] = spans();
    assert.deepEqual([span.status.code, span.attributes['error.type']], [SpanStatusCode.ERROR, 'WRONGTYPE']);
    await redis.del(key('jobs'));
    const capped = new Postrider(redis, { queue, cap: 1 });
    await capped.enqueue({ url: URL });
    await assert.rejects(capped.enqueue({ url: URL }), QueueFull);
    assert.equal(spans().at(-1).attributes['error.type'], 'refused');
  });
});
