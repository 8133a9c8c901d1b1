// Spans of a producer, if @opentelemetry/api is installed: those of the page "Telemetry" of the documents.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { sizeOf } from './job.js';

let otel = null;
try {
  otel = createRequire(import.meta.url)('@opentelemetry/api');
} catch {
  // It is not installed: nothing is recorded.
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const traceparent = (span) => `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, '0')}`;

/** The context that a job already has, in its fields or its headers. */
function ownContext(entry) {
  let own = entry.traceparent;
  if (own === undefined && /traceparent/i.test(entry.headers ?? '')) {
    const header = Object.entries(JSON.parse(entry.headers)).find(([name]) => name.toLowerCase() === 'traceparent');
    own = header && [header[1]].flat().join();
  }
  const found = TRACEPARENT.exec(own ?? '');
  return found && { traceId: found[1], spanId: found[2], traceFlags: Number.parseInt(found[3], 16), isRemote: true };
}

/** Redis' own code in an error reply, as OOM. */
function errorType(error) {
  if (['QueueFull', 'ShardsChanging'].includes(error.name)) return 'refused';
  if (/timed out|ETIMEDOUT/.test(error.message)) return 'timeout';
  return /^[A-Z_]{1,24}(?=[ :]|$)/.exec(error.message)?.[0] ?? error.code ?? error.name;
}

/** The span of an enqueue: `publish` for jobs without a context, `send` if all have their own. */
export class Publishing {
  #span = null;
  #created = new Map();

  constructor(queue, redis, entries, maxJobBytes) {
    if (!otel || entries.length === 0) return;
    [this.queue, this.isMany, this.maxJobBytes] = [queue, entries.length > 1, maxJobBytes];
    this.tracer = otel.trace.getTracer('postrider-client', version);
    const own = entries.map(ownContext).filter(Boolean);
    const name = own.length === entries.length ? 'send' : 'publish';
    this.isProducer = name === 'publish' && !this.isMany;
    const attributes = this.#attributes(name, 'send');
    // A cluster has nodes instead.
    const { host, port, path } = redis.options ?? {};
    if (path) attributes['server.address'] = path;
    else if (host) Object.assign(attributes, { 'server.address': host, 'server.port': port });
    if (this.isMany) attributes['messaging.batch.message_count'] = entries.length;
    const kind = this.isProducer ? otel.SpanKind.PRODUCER : otel.SpanKind.CLIENT;
    this.current = otel.trace.getSpanContext(otel.context.active());
    this.#span = this.tracer.startSpan(`${name} ${queue}`, { kind, attributes, links: own.map((context) => ({ context })) });
  }

  #attributes(name, type) {
    return {
      'messaging.system': 'redis',
      'messaging.operation.name': name,
      'messaging.operation.type': type,
      'messaging.destination.name': this.queue,
    };
  }

  /** Gives the only job the context of the publish span, unless it has its own. */
  inject(entry) {
    if (this.#span && this.isProducer) this.#inject(this.#span, entry, otel.propagation.getBaggage(otel.context.active()));
  }

  #inject(span, entry, baggage) {
    const context = span.spanContext();
    if (!otel.isSpanContextValid(context)) return;
    const own = { traceparent: traceparent(context) };
    const state = context.traceState?.serialize();
    if (state) own.tracestate = state;
    const members = (baggage?.getAllEntries() ?? []).map(([name, { value, metadata }]) => {
      return `${encodeURIComponent(name)}=${encodeURIComponent(value)}${metadata ? `;${metadata}` : ''}`;
    });
    if (members.length > 0) own.baggage = members.join(',');
    this.#add(own, entry);
  }

  #add(own, entry) {
    // A job without room for its context is delivered all the same.
    if (sizeOf(entry) + sizeOf(own) <= this.maxJobBytes) Object.assign(entry, own);
  }

  /** Begins the trace of one of many jobs, which has no context: a root with a link to `publish`. */
  create(index, entry) {
    if (!this.#span || !this.isMany || this.#created.has(index) || ownContext(entry)) return;
    const isSampled = (context) => (context.traceFlags & otel.TraceFlags.SAMPLED) !== 0;
    if (this.current && otel.isSpanContextValid(this.current) && !isSampled(this.current)) {
      // All jobs follow the decision for the span in which they are enqueued.
      this.#add({ traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00` }, entry);
      return;
    }
    const publish = this.#span.spanContext();
    const links = isSampled(publish) ? [{ context: publish }] : [];
    const options = { kind: otel.SpanKind.PRODUCER, attributes: this.#attributes('create', 'create'), links, root: true };
    const span = this.tracer.startSpan(`create ${this.queue}`, options);
    this.#created.set(index, span);
    this.#inject(span, entry);
  }

  enqueued(index, jobId) {
    const span = this.#created.get(index) ?? (this.isMany ? null : this.#span);
    span?.setAttribute('messaging.message.id', jobId);
    if (this.#created.delete(index)) span.end();
  }

  async run(work) {
    if (!this.#span) return work();
    try {
      return await work();
    } catch (error) {
      for (const span of [...this.#created.values(), this.#span]) {
        span.setAttribute('error.type', errorType(error)).setStatus({ code: otel.SpanStatusCode.ERROR, message: error.name });
      }
      throw error;
    } finally {
      for (const span of [...this.#created.values(), this.#span]) span.end();
    }
  }
}
