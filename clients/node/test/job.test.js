// Jobs, shards and signatures: without Redis.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { InvalidJob, InvalidSignature, Postrider, Verifier, fields } from '../src/index.js';
import { crc16, homes } from '../src/protocol.js';
import { FakePostrider, deliverNow } from '../src/testing.js';
import { cases, job } from './conformance.js';

const KEY = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
/** A client that is never asked. */
const REDIS = { hget: () => assert.fail('Redis was asked'), get: () => assert.fail('Redis was asked') };

const bytes = (value) => (typeof value === 'object' && 'base64' in value ? Buffer.from(value.base64, 'base64') : value);

test('each job', () => {
  for (const { name, job: description, entry, refused } of cases('jobs')) {
    if (entry) {
      const expected = Object.fromEntries(Object.entries(entry).map(([field, value]) => [field, bytes(value)]));
      assert.deepEqual(fields(job(description)), expected, name);
      continue;
    }
    const isExpected = (error) => error instanceof InvalidJob && error.message.includes(refused.error) && [error.field, null].includes(refused.field);
    assert.throws(() => fields(job(description)), isExpected, name);
  }
});

test('dates, and what is no text', () => {
  const at = new Date('2026-12-24T19:00:00+01:00');
  assert.deepEqual(fields({ url: 'http://h/', not_before: at, label: null }), { url: 'http://h/', not_before: '1798135200000' });
  const wrong = { label: 7, body: {}, key: 7, retry: 7, not_before: new Date('x'), json: 1n, headers: 'x' };
  for (const [field, value] of Object.entries({ ...wrong, key_ttl_ms: 0 })) {
    const key = field === 'key_ttl_ms' ? { key: 'x' } : {};
    assert.throws(() => fields({ url: 'http://h/', ...key, [field]: value }), { name: 'InvalidJob', field }, field);
  }
  assert.throws(() => fields({ url: 'http://h/', body: '\ud800' }), { field: 'body' });
});

test('the types name the same fields', () => {
  const types = readFileSync(new URL('../src/index.d.ts', import.meta.url), 'utf8');
  const own = /interface Job \{(.*?)\n\}/s.exec(types)[1].matchAll(/^ {2}(\w+)\??:/gm);
  const known = /known are (.*)$/.exec(thrownBy(() => fields({ ulr: 1 })))[1];
  assert.deepEqual([...own].map(([, name]) => name), known.split(', '));
});

function thrownBy(work) {
  try {
    work();
  } catch (error) {
    return error.message;
  }
  throw new Error('nothing was thrown');
}

test('names of queues', () => {
  for (const queue of ['', 'a}b', 'a/1', '.', '..', 'x'.repeat(65), 'é', 'a\n']) {
    assert.throws(() => new Postrider(REDIS, { queue }), /a queue's name must be/, queue);
  }
});

test('what is no job', async () => {
  const client = new Postrider(REDIS);
  for (const wrong of ['http://h/', null, 7]) {
    await assert.rejects(client.enqueue(wrong), { name: 'InvalidJob', message: /^a job is an object with `url`, not / });
  }
  const many = client.enqueueMany([{ url: 'http://h/' }, { url: 'h' }]);
  await assert.rejects(many, { name: 'InvalidJob', field: 'url', index: 1, message: /^jobs\[1\]: field `url` must be absolute/ });
});

test('what is no client, and options that are not known', async () => {
  for (const wrong of ['redis://127.0.0.1', undefined]) assert.throws(() => new Postrider(wrong), /give a client of ioredis/);
  assert.throws(() => new Postrider(REDIS, { queu: 'mail' }), /the option "queu" is not known; known are queue, cap, maxJobBytes/);
  await assert.rejects(new Postrider(REDIS).wait('7-0', { timeout: 1 }), /the option "timeout" is not known; known are timeoutMs/);
  assert.throws(() => new FakePostrider({ queue: 'mail' }), /the option "queue" is not known/);
  await assert.rejects(deliverNow([], { respnd: () => 500 }), /the option "respnd" is not known/);
});

test('what is no job id', async () => {
  for (const wrong of [null, undefined, '', 'order-7', '7', 7, {}]) {
    await assert.rejects(new Postrider(REDIS).result(wrong), /or a job id/);
  }
});

test('what is no key, and a body that was parsed', () => {
  for (const wrong of [undefined, [], [KEY, undefined]]) assert.throws(() => new Verifier(wrong), /give at least one key, each as a text/);
  const headers = { 'webhook-id': '7-0', 'webhook-timestamp': '7', 'webhook-signature': 'v1,AAAA' };
  assert.throws(() => new Verifier(KEY).verify(headers, { order: 7 }, { now: 7 }), /give the body as it came/);
});

test('each key', () => {
  for (const { key, crc16: checksum, shards } of cases('shards')) {
    assert.equal(crc16(key), checksum, key);
    for (const [number, shard] of Object.entries(shards)) assert.deepEqual(homes(key, [Number(number)]), [shard], key);
  }
});

test('each signature', () => {
  for (const { name, keys, headers, body, now, job_id, error } of cases('webhooks')) {
    const verify = () => new Verifier(keys).verify(headers, Buffer.from(body), { now });
    if (job_id) assert.equal(verify(), job_id, name);
    else assert.throws(verify, (thrown) => thrown instanceof InvalidSignature && thrown.message.includes(error), name);
  }
  const { keys, headers, body, now, job_id } = cases('webhooks')[0];
  assert.equal(new Verifier(keys[0]).verify(new Headers(headers), body, { now }), job_id);
  const seed = 'whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=';
  for (const wrong of ['', 'whsec_', 'whsec_???', seed, 'whsec_c2hvcnQ=', 'whpk_c2hvcnQ=', []]) {
    assert.throws(() => new Verifier(wrong), (thrown) => thrown instanceof TypeError && !thrown.message.includes('c2hvcnQ'), String(wrong));
  }
});
