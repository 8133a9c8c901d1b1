import type { Cluster, Redis } from 'ioredis';

/** A text, or several for one name. */
export type Headers = Record<string, string | string[]>;
type Scalar = string | number | boolean;
/** Pairs of a form or a query; a list is several values of one name. */
export type Pairs = Record<string, Scalar | Scalar[]> | Iterable<[string, Scalar]>;

/** A URL, or fields of the callback's job, also as the text of their JSON. */
export type Callback = string | { url: string; method?: string; headers?: Headers; secret?: string; flow?: string; retry?: string };

/**
 * One HTTP request to be made, with its policy. Names and limits are those of the page "Job fields" of the documents. Durations
 * are milliseconds; times are Unix milliseconds, or a `Date`.
 */
export interface Job {
  /** An absolute `http` or `https` URL. */
  url: string;
  /** Default: POST. */
  method?: string | null;
  headers?: Headers | null;
  /** Sent unchanged. */
  body?: string | Uint8Array | null;
  /** Your own name for the job: 1 to 128 printable ASCII characters without a blank. Default: the job id. */
  label?: string | null;
  /** The first attempt is made this long after the enqueue, or later: up to ten years. */
  delay_ms?: number | null;
  /** The first attempt is not made before this time; the later of the two counts. */
  not_before?: number | Date | null;
  /** No attempt is made from this time on. */
  expires_at?: number | Date | null;
  /** The deadline of each attempt: 1 ms to 1 hour. */
  timeout_ms?: number | null;
  /** 1 to 100. */
  max_attempts?: number | null;
  /** The name of a retry policy of the worker. */
  retry?: string | null;
  /** What the job is limited with: 1 to 256 bytes. Default: the destination's `host:port`. */
  flow?: string | null;
  /** Jobs of one key, 1 to 256 bytes, are attempted one after the other. */
  order?: string | null;
  /** The name of a secret of the worker. */
  secret?: string | null;
  /** Keeps the result for `wait` this long: 1 ms to 7 days. */
  result_ttl_ms?: number | null;
  /** Called when the job has succeeded: up to 16 KiB. */
  on_success?: Callback | null;
  /** Called when it is dead-lettered. */
  on_failure?: Callback | null;
  traceparent?: string | null;
  tracestate?: string | null;
  baggage?: string | null;
  /** The version of the format. */
  v?: number | null;
  /** Anything that `JSON.stringify` takes, as the body. */
  json?: unknown;
  /** Pairs as the body, as a browser sends a form. */
  form?: Pairs | null;
  /** Pairs that are added to the URL's query. */
  params?: Pairs | null;
  /** The idempotency key, 1 to 256 bytes: within `key_ttl_ms`, only the first enqueue with this key makes a job. */
  key?: string | null;
  /** Default: a day. At most 3650 days. */
  key_ttl_ms?: number | null;
}

/** An enqueued job. */
export interface Receipt {
  job_id: string;
  /** The shard of the queue. */
  shard: number;
  /** Whether the job existed before, under the same key. */
  known: boolean;
}

/** The outcome of a job with `result_ttl_ms`: the members of the page "Producing jobs", under Results. */
export interface Result {
  outcome: 'succeeded' | 'dead';
  /** The status code of the last response. */
  status: number | null;
  attempts: number;
  /** Why it is dead. */
  reason: string | null;
  error: string | null;
  trace_id?: string | null;
  duration_ms?: number | null;
  history?: Record<string, unknown>[];
  headers?: Record<string, string>;
  body?: string;
  body_base64?: string;
  truncated?: boolean;
}

export interface Options {
  /** Default: `default`. */
  queue?: string;
  /** Refuses one job if its shard contains that many. */
  cap?: number | null;
  /** That of the workers. Default: 4 MiB. */
  maxJobBytes?: number;
}

/** A producer of jobs, on ioredis. */
export class Postrider {
  constructor(redis: Redis | Cluster, options?: Options);
  /**
   * Enqueues a job. Throws `InvalidJob` before anything is sent, `EnqueueError`, and the errors of ioredis. After a timeout or a
   * broken connection the job may be enqueued nevertheless, and only with a key the enqueue can be repeated without harm.
   */
  enqueue(job: Job): Promise<Receipt>;
  /** Enqueues many jobs, up to 1,000 and 1 MiB in each call of Redis. All are checked before. Throws `NotAllEnqueued`. */
  enqueueMany(jobs: Iterable<Job>): Promise<Receipt[]>;
  /** The result of a job that has `result_ttl_ms`; `null` until it has ended, and after that time. */
  result(job: Receipt | string): Promise<Result | null>;
  /** Waits for the result of a job that has `result_ttl_ms`: for a minute by default, then it throws. */
  wait(job: Receipt | string, options?: { timeoutMs?: number }): Promise<Result>;
}

/** The fields of a job's entry, checked as a worker does. Throws `InvalidJob`. */
export function fields(job: Job, maxJobBytes?: number): Record<string, string | Buffer>;

/** No worker would accept the job. */
export class InvalidJob extends TypeError {
  /** The wrong field; `null` if the job as a whole is wrong. */
  field: string | null;
  /** Its place among the jobs of `enqueueMany`; `null` for one job. */
  index: number | null;
}
/** A job was not enqueued. */
export class EnqueueError extends Error {}
/** The shard has as many jobs as the cap allows. */
export class QueueFull extends EnqueueError {
  jobs: number;
  cap: number;
}
/** The number of shards changed again and again, and the key moved with it: repeat the call. */
export class ShardsChanging extends EnqueueError {}
/** Redis has not confirmed all of many jobs. `cause` is the error. */
export class NotAllEnqueued extends EnqueueError {
  /** What Redis has confirmed, in the order of the jobs. */
  receipts: (Receipt | null)[];
}

/** Verifies requests with any of several keys: `whsec_…` (the secret itself), or `whpk_…` (a public key). */
export class Verifier {
  /** `toleranceSeconds` is how old a request may be, or early: 300 by default. */
  constructor(keys: string | string[], options?: { toleranceSeconds?: number });
  /**
   * Returns the job id, which is the same on every attempt. `body` is the body as it came. Throws `InvalidSignature`. `now` is
   * in Unix seconds.
   */
  verify(
    headers: Headers | Record<string, string | string[] | undefined> | { entries(): Iterable<[string, string]> },
    body: string | Uint8Array,
    options?: { now?: number },
  ): string;
}
/** The request is not from the owner of any of the keys, or not from now. */
export class InvalidSignature extends Error {}
