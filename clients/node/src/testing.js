// For the tests of programs that enqueue jobs: a fake that records them, and `deliverNow`, which delivers them with the real
// worker to a sink in this process.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as listen } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Redis } from 'ioredis';

import { Postrider } from './client.js';
import { entriesOf, fields, hasKey, known } from './job.js';

/** Retries follow at once, and destinations may be private, since nothing is sent there. */
const CONFIG = '[retry.default]\nbase = "20ms"\ncap = "20ms"\n[egress]\nallow = ["0.0.0.0/0", "::/0"]\n';

/** Records jobs instead of enqueueing them. It checks them as `Postrider` does, and knows keys for ever. */
export class FakePostrider {
  jobs = [];
  #keys = new Map();
  #results = new Map();
  #maxJobBytes;

  constructor(options = {}) {
    known(options, ['maxJobBytes']);
    this.#maxJobBytes = options.maxJobBytes;
  }

  async enqueue(job) {
    fields(job, this.#maxJobBytes);
    if (hasKey(job) && this.#keys.has(job.key)) return { ...this.#keys.get(job.key), known: true };
    this.jobs.push(job);
    const receipt = { job_id: `${this.jobs.length}-0`, shard: 0, known: false };
    if (hasKey(job)) this.#keys.set(job.key, receipt);
    return receipt;
  }

  async enqueueMany(jobs) {
    const all = [...jobs];
    entriesOf(all, this.#maxJobBytes);
    return Promise.all(all.map((job) => this.enqueue(job)));
  }

  finish(job, { status = 200, ...members } = {}) {
    const outcome = status >= 200 && status < 300 ? 'succeeded' : 'dead';
    this.#results.set(job.job_id ?? job, { outcome, status, attempts: 1, reason: null, error: null, ...members });
  }

  async result(job) {
    return this.#results.get(job.job_id ?? job) ?? null;
  }

  async wait(job) {
    const result = await this.result(job);
    if (result) return result;
    throw new Error('the test has not called `finish` for this job');
  }
}

/** Delivers jobs with a real worker, without their delays and callbacks, and returns their results, in their order. */
export async function deliverNow(jobs, options = {}) {
  known(options, ['respond', 'config', 'environment', 'binary', 'redisUrl', 'timeoutMs']);
  const { respond = () => 200, config = CONFIG, environment = {}, binary = null, redisUrl = null, timeoutMs = 30_000 } = options;
  const program = binary ?? process.env.POSTRIDER_BINARY ?? onPath('postrider');
  if (!program) throw new Error('there is no program `postrider`: npm install postrider, or set POSTRIDER_BINARY');
  const folder = mkdtempSync(join(tmpdir(), 'postrider-'));
  const cleanups = [() => rmSync(folder, { recursive: true })];
  try {
    const sink = await Sink.start(respond);
    cleanups.push(() => sink.close());
    const url = redisUrl ?? (await startRedis(folder, cleanups));
    const redis = new Redis(url);
    cleanups.push(() => redis.disconnect());
    const queue = `deliver_now_${process.pid}_${process.hrtime.bigint()}`;
    const client = new Postrider(redis, { queue });
    const receipts = await client.enqueueMany([...jobs].map((job) => sink.redirect(job)));
    const { worker, log } = startWorker(program, { url, queue, config, folder, proxy: sink.port, environment }, cleanups);
    const results = await resultsOf(client, receipts, performance.now() + timeoutMs, worker);
    if (results.length < receipts.length) {
      const why = hasEnded(worker) ? `the worker has ended with the code ${worker.exitCode}; its log` : `not all jobs ended within ${timeoutMs} ms; the worker's log`;
      throw new Error(`${why}:\n${log().slice(-4000)}`);
    }
    if (sink.error) throw sink.error;
    return [...jobs].map((job, index) => {
      // The job id, unless the job has its own header.
      const own = Object.entries(job.headers ?? {}).find(([name]) => name.toLowerCase() === 'idempotency-key');
      const key = own?.[1] ?? receipts[index].job_id;
      const requests = sink.requests.filter((request) => request.headers['idempotency-key'] === key);
      return { job, receipt: receipts[index], result: results[index], requests };
    });
  } finally {
    for (const cleanup of cleanups.reverse()) await cleanup();
  }
}

const hasEnded = ({ exitCode, signalCode }) => exitCode !== null || signalCode !== null;

/** The results of the first jobs: up to one that has not ended when the time is over, or the worker ends. */
async function resultsOf(client, receipts, end, worker) {
  const results = [];
  for (const receipt of receipts) {
    let result;
    while (!(result = await client.result(receipt))) {
      if (performance.now() > end || hasEnded(worker)) return results;
      await sleep(20);
    }
    results.push(result);
  }
  return results;
}

/** An HTTP proxy that answers itself. */
class Sink {
  requests = [];
  error = null;
  #secure = new Set();
  #server;

  static async start(respond) {
    const sink = new Sink();
    sink.#server = createServer((request, response) => sink.#answer(request, response, respond));
    sink.#server.listen(0, '127.0.0.1');
    await once(sink.#server, 'listening');
    sink.port = sink.#server.address().port;
    return sink;
  }

  async #answer(incoming, response, respond) {
    const chunks = await incoming.toArray();
    let [, scheme, authority, path] = /^(\w+):\/\/([^/?]*)(.*)$/.exec(incoming.url) ?? ['', 'http', '', incoming.url];
    if (this.#secure.has(authority)) [scheme, authority] = ['https', authority.replace(/:443$/, '')];
    const request = { method: incoming.method, url: `${scheme}://${authority}${path}`, headers: incoming.headers, body: Buffer.concat(chunks) };
    this.requests.push(request);
    let answer;
    try {
      answer = await respond(request);
    } catch (error) {
      // A final status: the job ends.
      answer = 400;
      this.error ??= error;
    }
    const { status = 200, body = '', headers = {} } = typeof answer === 'number' ? { status: answer } : answer;
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body);
  }

  redirect(job) {
    let { url } = job;
    const [, authority, rest] = /^ *https:\/\/([^/?#\\]*)(.*)$/is.exec(url ?? '') ?? [];
    if (authority) {
      const whole = /:[0-9]+$/.test(authority) ? authority : `${authority}:443`;
      this.#secure.add(whole.replace(/^.*@/, '').toLowerCase());
      url = `http://${whole}${rest}`;
    }
    return { ...job, url, delay_ms: undefined, not_before: undefined, on_success: undefined, on_failure: undefined, result_ttl_ms: 3_600_000 };
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }
}

function onPath(program) {
  // npm puts programs there, which is on the PATH of its scripts only.
  const folders = [join('node_modules', '.bin'), ...(process.env.PATH ?? '').split(delimiter)].filter(Boolean);
  return [program, ...folders.map((folder) => join(folder, program))].find((path) => path.includes('/') && existsSync(path));
}

/** Ends the process when the call ends, and waits for that. */
function stopped(process, cleanups) {
  const exited = once(process, 'exit');
  cleanups.push(async () => {
    process.kill('SIGTERM');
    const late = setTimeout(() => process.kill('SIGKILL'), 20_000);
    await exited;
    clearTimeout(late);
  });
  return process;
}

async function startRedis(folder, cleanups) {
  const server = [process.env.POSTRIDER_REDIS_SERVER, 'redis-server', 'valkey-server'].filter(Boolean).map(onPath).find(Boolean);
  if (!server) throw new Error('there is no redis-server or valkey-server on the PATH: install one, or give `redisUrl`');
  const finder = listen().listen(0, '127.0.0.1');
  await once(finder, 'listening');
  const { port } = finder.address();
  await new Promise((resolve) => finder.close(resolve));
  const options = ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--logfile', 'redis.log'];
  const child = stopped(spawn(server, options.map(String), { stdio: 'ignore' }), cleanups);
  const url = `redis://127.0.0.1:${port}`;
  const redis = new Redis(url, { retryStrategy: () => 10, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  try {
    const ready = await Promise.race([redis.ping(), once(child, 'exit').then(() => null), sleep(20_000, null, { ref: false })]);
    if (ready === null) throw new Error(`${server} does not start`);
  } finally {
    redis.disconnect();
  }
  return url;
}

function startWorker(program, { url, queue, config, folder, proxy, environment }, cleanups) {
  const [file, log] = ['postrider.toml', 'postrider.log'].map((name) => join(folder, name));
  writeFileSync(file, config);
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(OTEL|POSTRIDER)_/.test(name)));
  const env = { ...own, POSTRIDER_REDIS_URL: url, ...environment };
  const words = ['worker', '--queue', queue, '--config', file, '--http-proxy', `http://127.0.0.1:${proxy}`];
  const output = openSync(log, 'w');
  const worker = stopped(spawn(program, words, { env, stdio: ['ignore', output, output] }), cleanups);
  closeSync(output);
  return { worker, log: () => readFileSync(log, 'utf8') };
}
