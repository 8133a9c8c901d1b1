import type { Job, Receipt, Result } from './index.js';

/** Records jobs instead of enqueueing them. It checks them as `Postrider` does, and knows keys for ever. */
export class FakePostrider {
  constructor(options?: { maxJobBytes?: number });
  /** The jobs that would have been enqueued, in their order; not those whose key was known. */
  jobs: Job[];
  enqueue(job: Job): Promise<Receipt>;
  enqueueMany(jobs: Iterable<Job>): Promise<Receipt[]>;
  /** Sets the result that `result` and `wait` return for a job. Default: status 200. */
  finish(job: Receipt | string, result?: Partial<Result>): void;
  result(job: Receipt | string): Promise<Result | null>;
  wait(job: Receipt | string, options?: { timeoutMs?: number }): Promise<Result>;
}

/** A request that the worker has sent. Names of headers are in small letters. */
export interface SentRequest {
  method: string;
  url: string;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** A status, or more of the response. */
export type Answer = number | { status?: number; body?: string | Uint8Array; headers?: Record<string, string> };

/** A job, its result, and all requests that were sent for it. */
export interface Delivered {
  job: Job;
  receipt: Receipt;
  result: Result;
  requests: SentRequest[];
}

/**
 * Delivers jobs with a real worker, without their delays and callbacks, and returns their results, in their order.
 *
 * No request leaves this process: the worker's proxy is a sink here, which calls `respond` for each request; what that throws, this
 * throws. A job for `https` is sent as `http`, so a secret needs `allow_http = true`. `config` is the worker's configuration file;
 * by default, retries follow at once, and all addresses are allowed. `environment` has the variables that it names. `binary` is the
 * program `postrider`: by default that of `POSTRIDER_BINARY`, or on the PATH. Without a `redisUrl`, `redis-server` is started for the
 * time of the call. Throws if a job has not ended after `timeoutMs`, 30 seconds by default, or if the worker ends, as it does with a
 * wrong `config`; the error contains its log.
 */
export function deliverNow(
  jobs: Iterable<Job>,
  options?: {
    respond?: (request: SentRequest) => Answer | Promise<Answer>;
    config?: string;
    environment?: Record<string, string>;
    binary?: string | null;
    redisUrl?: string | null;
    timeoutMs?: number;
  },
): Promise<Delivered[]>;
