// The client, on ioredis.

import { setTimeout as sleep } from 'node:timers/promises';

import { JOB_BYTES_MAX, entriesOf, fields, hasKey, keyTtl, kind, known, routeOf, sizeOf } from './job.js';
import { ANY_CHANGE, CALL_JOBS_MAX, MOVES_MAX, SCRIPTS, calls, clamped, homes, keysOf } from './protocol.js';
import { Publishing } from './telemetry.js';

/** How long a number of shards counts for jobs without a key. */
const COUNT_LIFETIME_MS = 500;

/** A job was not enqueued. Errors of ioredis are not wrapped. */
export class EnqueueError extends Error {
  name = 'EnqueueError';
}

/** The shard has as many jobs as the cap allows. */
export class QueueFull extends EnqueueError {
  name = 'QueueFull';
  constructor(jobs, cap) {
    super(`the queue is full: it holds ${jobs} jobs, and its cap is ${cap}`);
    Object.assign(this, { jobs, cap });
  }
}

/** The number of shards changed again and again, and the key moved with it: repeat the call. */
export class ShardsChanging extends EnqueueError {
  name = 'ShardsChanging';
  constructor() {
    super('the number of shards changes; repeat the call');
  }
}

/** Redis has not confirmed all of many jobs. `receipts` has what it has confirmed, or `null`; `cause` is the error. */
export class NotAllEnqueued extends EnqueueError {
  name = 'NotAllEnqueued';
  constructor(receipts, cause) {
    super(`${receipts.filter(Boolean).length} of ${receipts.length} jobs are enqueued: ${cause.message}`, { cause });
    this.receipts = receipts;
  }
}

const flat = (entry) => Object.entries(entry).flat();
const left = (receipts) => [...receipts.keys()].filter((index) => receipts[index] === null);
const add = (groups, shard, index) => (groups.has(shard) ? groups.get(shard).push(index) : groups.set(shard, [index]));
const same = (one, other) => other !== null && one.join() === other.join();

/** A producer of jobs. */
export class Postrider {
  #redis;
  #queue;
  #key;
  #cap;
  #maxJobBytes;
  #count = { shards: 0, read: 0 };

  constructor(redis, options = {}) {
    if (typeof redis?.hget !== 'function') throw new TypeError(`give a client of ioredis, as new Redis(…), not ${kind(redis)}`);
    known(options, ['queue', 'cap', 'maxJobBytes']);
    const { queue = 'default', cap = null, maxJobBytes = JOB_BYTES_MAX } = options;
    [this.#redis, this.#queue, this.#key] = [redis, queue, keysOf(queue)];
    [this.#cap, this.#maxJobBytes] = [cap, maxJobBytes];
  }

  async enqueue(job) {
    const entry = fields(job, this.#maxJobBytes);
    const publishing = new Publishing(this.#queue, this.#redis, [entry], this.#maxJobBytes);
    return publishing.run(async () => {
      publishing.inject(entry);
      const receipt = hasKey(job) ? await this.#placeKeyed(entry, job) : await this.#place(entry, job);
      publishing.enqueued(0, receipt.job_id);
      return receipt;
    });
  }

  async #place(entry, job) {
    const shards = await this.#shards();
    const route = routeOf(job);
    const shard = route === null ? Math.floor(Math.random() * shards) : homes(route, [shards])[0];
    const jobs = this.#key('jobs', shard);
    if (this.#cap === null) return { job_id: await this.#redis.xadd(jobs, '*', ...flat(entry)), shard, known: false };
    const keys = [jobs, this.#key('waiting', shard), jobs, this.#key('order_waiting', shard)];
    return this.#receipt(await this.#script('enqueue', keys, [0, this.#cap, 0, ...flat(entry)]), shard);
  }

  async #placeKeyed(entry, job) {
    const [key, ttl] = [job.key, keyTtl(job)];
    // The script counts the jobs in line only for the cap.
    const line = this.#cap === null ? [] : ['order_waiting'];
    let seen = null;
    for (let move = 0; move < MOVES_MAX; move += 1) {
      const numbers = await this.#numbers(ttl);
      const [home, ...former] = homes(routeOf(job), numbers.slice(1));
      for (const shard of former) {
        const [job_id] = await this.#script('claim_keys', [this.#key(`key:${key}`, shard)], [numbers[0], ttl]);
        if (job_id) return { job_id, shard, known: true };
      }
      const keys = ['jobs', 'waiting', `key:${key}`, ...line].map((what) => this.#key(what, home));
      const changes = same(numbers, seen) ? ANY_CHANGE : numbers[0];
      const reply = await this.#script('enqueue', keys, [ttl, this.#cap ?? 0, changes, ...flat(entry)]);
      if (reply[0] !== 'm') return this.#receipt(reply, home);
      seen = numbers;
    }
    throw new ShardsChanging();
  }

  #receipt([letter, answer], shard) {
    if (letter === 'f') throw new QueueFull(Number(answer), this.#cap);
    return { job_id: answer, shard, known: letter === 'k' };
  }

  async enqueueMany(jobs) {
    const all = [...jobs];
    const entries = entriesOf(all, this.#maxJobBytes);
    const receipts = all.map(() => null);
    const publishing = new Publishing(this.#queue, this.#redis, entries, this.#maxJobBytes);
    try {
      await publishing.run(async () => {
        if (entries.length === 1) publishing.inject(entries[0]);
        await this.#placeMany(all, entries, receipts, publishing);
      });
    } catch (error) {
      throw new NotAllEnqueued(receipts, error);
    }
    return receipts;
  }

  async #placeMany(jobs, entries, receipts, publishing) {
    const ttls = jobs.filter(hasKey).map(keyTtl);
    const ttl = ttls.reduce((longest, own) => Math.max(longest, own), 0);
    let seen = null;
    for (let move = 0; move < MOVES_MAX; move += 1) {
      const numbers = ttls.length > 0 ? await this.#numbers(ttl) : [0, await this.#shards()];
      await this.#claimMany(jobs, receipts, numbers);
      const changes = same(numbers, seen) ? ANY_CHANGE : numbers[0];
      const [groups, others] = [new Map(), []];
      for (const index of left(receipts)) {
        const route = routeOf(jobs[index]);
        if (route === null) others.push(index);
        else add(groups, homes(route, [numbers[1]])[0], index);
      }
      // Those without a key last: nothing is after them that could fail, and they must not be repeated.
      const any = Math.floor(Math.random() * clamped(numbers[1]));
      for (const [shard, indices] of [...groups, [any, others]]) {
        for (const call of calls(indices, (index) => sizeOf(entries[index]))) {
          await this.#enter(shard, call, changes, jobs, entries, receipts, publishing);
        }
      }
      if (left(receipts).length === 0) return;
      seen = numbers;
    }
    throw new ShardsChanging();
  }

  async #enter(shard, call, changes, jobs, entries, receipts, publishing) {
    const [keys, args] = [[this.#key('jobs', shard)], []];
    for (const index of call) {
      publishing.create(index, entries[index]);
      const pairs = flat(entries[index]);
      if (hasKey(jobs[index])) keys.push(this.#key(`key:${jobs[index].key}`, shard));
      args.push(hasKey(jobs[index]) ? keyTtl(jobs[index]) : 0, changes, pairs.length);
      for (const part of pairs) args.push(part);
    }
    const reply = await this.#script('enqueue_all', keys, args);
    for (const [at, index] of call.entries()) {
      const [letter, job_id] = reply.slice(2 * at, 2 * at + 2);
      if (letter === 'm') continue;
      receipts[index] = { job_id, shard, known: letter === 'k' };
      publishing.enqueued(index, job_id);
    }
  }

  async #claimMany(jobs, receipts, numbers) {
    const former = new Map();
    for (const index of left(receipts).filter((one) => hasKey(jobs[one]))) {
      for (const shard of homes(routeOf(jobs[index]), numbers.slice(1)).slice(1)) add(former, shard, index);
    }
    for (const [shard, indices] of former) {
      for (let at = 0; at < indices.length; at += CALL_JOBS_MAX) {
        const call = indices.slice(at, at + CALL_JOBS_MAX).filter((index) => receipts[index] === null);
        if (call.length === 0) continue;
        const keys = call.map((index) => this.#key(`key:${jobs[index].key}`, shard));
        const found = await this.#script('claim_keys', keys, [numbers[0], ...call.map((index) => keyTtl(jobs[index]))]);
        for (const [place, index] of call.entries()) {
          if (found[place]) receipts[index] = { job_id: found[place], shard, known: true };
        }
      }
    }
  }

  async result(job) {
    const id = job?.job_id ?? job;
    if (typeof id !== 'string' || !/^[0-9]+-[0-9]+(-callback)?$/.test(id)) {
      throw new TypeError(`give what \`enqueue\` has returned, or a job id, as 1795396101000-0: ${JSON.stringify(job)?.slice(0, 64)} is neither`);
    }
    let shards = [job.shard ?? 0];
    if (typeof job === 'string') {
      const counts = await this.#redis.hmget(this.#key('meta'), 'shards', 'shards_before');
      shards = Array(Math.max(...counts.map(clamped))).keys();
    }
    for (const shard of shards) {
      const found = await this.#redis.get(this.#key(`result:${id}`, shard));
      if (found) return JSON.parse(found);
    }
    return null;
  }

  async wait(job, options = {}) {
    known(options, ['timeoutMs']);
    const { timeoutMs = 60_000 } = options;
    const end = performance.now() + timeoutMs;
    for (let pause = 20; ; pause = Math.min(2 * pause, 500)) {
      const result = await this.result(job);
      if (result) return result;
      const rest = end - performance.now();
      if (rest <= 0) break;
      await sleep(Math.min(pause, rest));
    }
    throw new Error(`no result within ${timeoutMs} ms; does the job have \`result_ttl_ms\`, and does a worker run?`);
  }

  /** The number of shards, as it was half a second ago or later. */
  async #shards() {
    if (!this.#count.shards || performance.now() - this.#count.read > COUNT_LIFETIME_MS) {
      this.#count = { shards: clamped(await this.#redis.hget(this.#key('meta'), 'shards')), read: performance.now() };
    }
    return this.#count.shards;
  }

  /** How often the number of shards has changed, the present number, and the former ones that keys may be enqueued by. */
  async #numbers(ttl) {
    return (await this.#script('key_homes', [this.#key('meta')], [ttl])).map(Number);
  }

  async #script(name, keys, args) {
    const { sha1, source } = SCRIPTS[name];
    // A list, since a call takes a limited number of arguments.
    const words = [keys.length, ...keys].concat(args);
    try {
      return await this.#redis.call('EVALSHA', [sha1, ...words]);
    } catch (error) {
      if (!String(error.message).startsWith('NOSCRIPT')) throw error;
      return this.#redis.call('EVAL', [source, ...words]);
    }
  }
}
