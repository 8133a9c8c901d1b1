// What is for the tests of others, with the real worker: `POSTRIDER_BINARY` is the program.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { InvalidJob, InvalidSignature, Verifier } from '../src/index.js';
import { FakePostrider, deliverNow } from '../src/testing.js';

const SECRETS = '[secrets.acme]\nkeys = [{ env = "ACME_KEY" }, { env = "ACME_SEED" }]\nallow_http = true\n';
const KEY = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const SEED = `whsk_${Buffer.alloc(32, 7).toString('base64')}`;
/** That of the seed. */
const PUBLIC = 'whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=';

test('jobs are delivered and retried without their delays', async () => {
  const answers = { '/flaky': [503, 200], '/wrong': [410], '/kept': [{ status: 201, body: 'made', headers: { 'x-one': '1' } }] };
  const jobs = [
    { url: 'https://api.example.org/flaky?x=1', json: { order: 7 }, label: 'order-7', delay_ms: 3_600_000 },
    { url: 'http://10.0.0.1:8080/wrong', method: 'put', headers: { 'Idempotency-Key': 'own' } },
    { url: 'https://me:pw@API.example.org:8443/kept' },
  ];
  const [flaky, wrong, kept] = await deliverNow(jobs, { respond: ({ url }) => answers[new URL(url).pathname].shift() });
  assert.deepEqual([flaky.result.outcome, flaky.result.status, flaky.result.attempts], ['succeeded', 200, 2]);
  assert.deepEqual(flaky.requests.map(({ url }) => url), Array(2).fill('https://api.example.org/flaky?x=1'));
  assert.deepEqual([flaky.requests[0].method, String(flaky.requests[0].body)], ['POST', '{"order":7}']);
  assert.equal(flaky.requests[0].headers['postrider-label'], 'order-7');
  assert.deepEqual([wrong.result.outcome, wrong.result.reason, wrong.result.status], ['dead', 'final_status', 410]);
  assert.deepEqual(wrong.requests.map(({ method, url }) => [method, url]), [['PUT', 'http://10.0.0.1:8080/wrong']]);
  assert.deepEqual([kept.result.status, kept.result.body], [201, 'made']);
  assert.deepEqual([kept.requests[0].url, kept.requests[0].headers.authorization], ['https://api.example.org:8443/kept', 'Basic bWU6cHc=']);
  assert.deepEqual([flaky, wrong, kept].map(({ job }) => job), jobs);
});

test('an error of the destination is that of the test', async () => {
  const respond = ({ url }) => {
    throw new Error(`no request was expected: ${url}`);
  };
  await assert.rejects(deliverNow([{ url: 'http://sink.test/x' }], { respond }), /no request was expected: http:\/\/sink\.test\/x/);
});

test('a job that does not end is an error with the log', async () => {
  const options = { respond: () => 503, config: '[retry.default]\nbase = "1h"\n', timeoutMs: 200 };
  await assert.rejects(deliverNow([{ url: 'http://sink.test/x' }], options), /not all jobs ended within 200 ms; the worker's log:\n/);
});

test('a worker that does not start is an error at once', async () => {
  const isExpected = /the worker has ended with the code 2; its log:\n.*did you mean `retry`/;
  await assert.rejects(deliverNow([{ url: 'http://sink.test/x' }], { config: '[retri.default]' }), isExpected);
});

test('the signatures of the worker are verified', async () => {
  const jobs = ['', 'Grüße ✓', Buffer.from([255, 0])].map((body) => ({ url: 'http://sink.test/x', secret: 'acme', body }));
  const delivered = await deliverNow(jobs, { config: SECRETS, environment: { ACME_KEY: KEY, ACME_SEED: SEED } });
  for (const { receipt, requests } of delivered) {
    const [{ headers, body }] = requests;
    for (const key of [KEY, PUBLIC]) {
      assert.equal(new Verifier(key).verify(headers, body), receipt.job_id);
      assert.throws(() => new Verifier(key).verify(headers, Buffer.concat([body, Buffer.from(' ')])), InvalidSignature);
    }
  }
});

test('a fake records and checks jobs', async () => {
  const fake = new FakePostrider();
  const first = await fake.enqueue({ url: 'http://h/', label: 'one', key: 'k' });
  const [again, other] = await fake.enqueueMany([
    { url: 'http://h/', label: 'two', key: 'k' },
    { url: 'http://h/', label: 'three' },
  ]);
  assert.deepEqual(fake.jobs.map(({ label }) => label), ['one', 'three']);
  assert.deepEqual([again.job_id, again.known, other.known], [first.job_id, true, false]);
  await assert.rejects(fake.enqueue({ url: 'http://h/', label: 'a b' }), InvalidJob);
  await assert.rejects(fake.enqueueMany([{ url: 'http://h/' }, { url: 'http://h/', label: 'a b' }]), InvalidJob);
  assert.equal(fake.jobs.length, 2);
  await assert.rejects(fake.wait(first), /has not called `finish`/);
  fake.finish(first, { status: 500, reason: 'attempts' });
  assert.deepEqual([(await fake.wait(first)).outcome, (await fake.result(first.job_id)).reason], ['dead', 'attempts']);
});
