// The fields of a job as they are in Redis. Pure.

import { isIPv4 } from 'node:net';

/** The bytes of a job's fields that a worker accepts, unless its `--max-job-bytes` is another. */
export const JOB_BYTES_MAX = 4 << 20;
export const DAY_MS = 86_400_000;
const HEADERS_BYTES_MAX = 64 << 10;
const HEADER_VALUES_MAX = 256;
const CALLBACK_BYTES_MAX = 16 << 10;
/** The longest JSON that the worker recognizes as such. */
const JSON_BYTES_MAX = 64 << 10;
const RESERVED = new Set(
  ('host content-length transfer-encoding connection keep-alive proxy-connection proxy-authorization proxy-authenticate ' +
    'http2-settings te trailer upgrade expect').split(' '),
);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * No worker would accept the job. `field` is the wrong field; `null` if the job as a whole is wrong. `index` is its place among
 * those of `enqueueMany`.
 */
export class InvalidJob extends TypeError {
  index = null;
  constructor(field, error) {
    super(field ? `field \`${field}\`${error.startsWith(':') ? '' : ' '}${error}` : error);
    this.name = 'InvalidJob';
    this.field = field;
  }
}

const bytes = (value) => (typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength);

const text = (pattern, error) => (name, value) => {
  if (typeof value !== 'string') throw new InvalidJob(name, 'must be a text');
  if (!value.isWellFormed()) throw new InvalidJob(name, 'has half a letter, which is not UTF-8');
  if (!pattern.test(value)) throw new InvalidJob(name, error);
  return value;
};
const any = text(/^/, '');

/** A whole number. Dates become Unix milliseconds. */
const number = (least, most, error, low = 'must be at least 1') => (name, value) => {
  const whole = value instanceof Date ? value.getTime() : value;
  if (!Number.isSafeInteger(whole) || whole < 0) throw new InvalidJob(name, 'must be a whole number of 1 to 16 digits');
  if (whole < least) throw new InvalidJob(name, low);
  if (whole > most) throw new InvalidJob(name, error);
  return String(whole);
};
const time = number(
  100_000_000_000,
  100_000_000_000_000,
  'is beyond the year 5000; it must be Unix time in milliseconds',
  'looks like seconds; it must be Unix time in milliseconds',
);

const sized = (error) => (name, value) => {
  const size = bytes(any(name, value));
  if (size < 1 || size > 256) throw new InvalidJob(name, error);
  return value;
};

const method = (name, value) => {
  if (typeof value !== 'string' || !TOKEN.test(value)) throw new InvalidJob(name, 'is not an HTTP method, as GET or POST');
  if (value.toUpperCase() === 'CONNECT') throw new InvalidJob(name, ': CONNECT is for proxies');
  return value;
};

const url = (name, value) => {
  any(name, value);
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x1f]/.test(value)) throw new InvalidJob(name, 'has a control character, as a tab or a line break; remove it');
  const [, scheme, rest] = /^ *([^:]*):(.*)$/s.exec(value) ?? [];
  if (!/^https?$/i.test(scheme ?? '')) {
    if (rest?.startsWith('/') && /^[A-Za-z0-9]+$/.test(scheme)) {
      throw new InvalidJob(name, `: the scheme "${scheme}" is neither http nor https`);
    }
    throw new InvalidJob(name, 'must be absolute: it has no scheme; write https://example.org/hook');
  }
  const authority = rest.replace(/^[/\\]+/, '').split(/[/\\?#]/, 1)[0].replace(/^.*@/s, '').trimEnd();
  const [, given, port] = /^(\[.*\]|[^:]*)(?::(.*))?$/s.exec(authority) ?? [];
  if (port && !(/^[0-9]+$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) {
    throw new InvalidJob(name, ': the port must be 1 to 65535');
  }
  let host;
  try {
    host = new URL(value).hostname;
  } catch {
    if (given?.startsWith('[')) throw new InvalidJob(name, ': the host is not an IPv6 address in brackets, without a zone');
    if (/(^|\.)([0-9]+|0x[0-9a-f]*)\.?$/i.test(given ?? '')) {
      throw new InvalidJob(name, ': the host ends in a number and is not an IPv4 address');
    }
    throw new InvalidJob(name, 'is not a URL: its host is empty or has a wrong character');
  }
  const labels = host.replace(/\.$/, '').split('.');
  if (!host.startsWith('[') && !isIPv4(host) && !labels.every((label) => /^[A-Za-z0-9_-]{1,63}$/.test(label))) {
    throw new InvalidJob(name, `: the host "${host.slice(0, 64)}" is not a host name`);
  }
  return value;
};

const headers = (name, value) => {
  if (typeof value !== 'object' || Array.isArray(value)) throw new InvalidJob(name, 'must be an object, or the text of one');
  let count = 0;
  for (const [header, values] of Object.entries(value)) {
    if (!TOKEN.test(header)) throw new InvalidJob(name, `: ${JSON.stringify(header).slice(0, 64)} is not a header name`);
    if (RESERVED.has(header.toLowerCase())) throw new InvalidJob(name, `: \`${header.toLowerCase()}\` is set by the worker, leave it out`);
    for (const own of Array.isArray(values) ? values : [values]) {
      if (typeof own !== 'string') throw new InvalidJob(name, `: the value of "${header}" must be text or a list of texts`);
      // eslint-disable-next-line no-control-regex
      if (/[\x00-\x08\x0a-\x1f\x7f]/.test(own)) {
        throw new InvalidJob(name, `: the value of "${header}" has a character that headers cannot`);
      }
      count += 1;
    }
  }
  if (count > HEADER_VALUES_MAX) throw new InvalidJob(name, `has more than ${HEADER_VALUES_MAX} values`);
  const json = any(name, JSON.stringify(value));
  if (bytes(json) > HEADERS_BYTES_MAX) throw new InvalidJob(name, `has ${bytes(json)} bytes; at most ${HEADERS_BYTES_MAX}`);
  return json;
};

const body = (name, value) => {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (typeof value !== 'string') throw new InvalidJob(name, 'must be a text or bytes; `json` takes anything else');
  return any(name, value);
};

const flow = sized('must be 1 to 256 bytes');

const CALLBACK = { url, method, headers, secret: any, flow, retry: any };

const object = (name, value) => {
  try {
    return JSON.parse(value);
  } catch {
    throw new InvalidJob(name, ': it is not a JSON object');
  }
};

const callback = (name, value) => {
  let members = value;
  // Or the text of an object, as the field is in Redis.
  if (typeof value === 'string') members = value.startsWith('{') ? object(name, value) : { url: value };
  if (typeof members !== 'object' || Array.isArray(members)) throw new InvalidJob(name, 'must be a URL, or an object with `url`');
  for (const [member, own] of Object.entries(members)) {
    if (!(member in CALLBACK)) {
      throw new InvalidJob(name, `: ${JSON.stringify(member).slice(0, 64)} is not known here; known are ${Object.keys(CALLBACK).join(', ')}`);
    }
    try {
      CALLBACK[member](member, own);
    } catch (error) {
      throw new InvalidJob(name, `: ${error.message.replace(/^field /, '')}`);
    }
  }
  if (!('url' in members)) throw new InvalidJob(name, ': `url` is missing');
  const text = typeof value === 'string' ? value : JSON.stringify(members);
  if (bytes(text) > CALLBACK_BYTES_MAX) throw new InvalidJob(name, `has ${bytes(text)} bytes; at most ${CALLBACK_BYTES_MAX}`);
  return text;
};

/** The fields of an entry, each with what checks and writes it. */
const FIELDS = {
  url,
  method,
  headers,
  body,
  label: text(/^[!-~]{1,128}$/, 'must be 1 to 128 printable ASCII characters without a blank'),
  delay_ms: number(0, 316_224_000_000, 'is more than ten years'),
  not_before: time,
  expires_at: time,
  timeout_ms: number(1, 3_600_000, 'is more than an hour'),
  max_attempts: number(1, 100, 'must be 1 to 100', 'must be 1 to 100'),
  retry: any,
  flow,
  order: flow,
  secret: any,
  result_ttl_ms: number(1, 604_800_000, 'is more than seven days'),
  on_success: callback,
  on_failure: callback,
  traceparent: any,
  tracestate: any,
  baggage: any,
  v: number(1, 1, 'is format version 2 or newer, which this client does not know'),
};
/** What becomes other fields, or none. */
const OTHERS = ['json', 'form', 'params', 'key', 'key_ttl_ms'];

/** The fields of a job's entry, checked as a worker with this `--max-job-bytes` does. Throws `InvalidJob`. */
export function fields(job, maxJobBytes = JOB_BYTES_MAX) {
  if (typeof job !== 'object' || job === null) throw new InvalidJob(null, `a job is an object with \`url\`, not ${kind(job)}`);
  const unknown = Object.keys(job).filter((name) => !(name in FIELDS) && !OTHERS.includes(name));
  if (unknown.length > 0) {
    throw new InvalidJob(null, `${JSON.stringify(unknown[0])} is not known here; known are ${[...Object.keys(FIELDS), ...OTHERS].join(', ')}`);
  }
  const given = { ...job, url: withParams(job), ...ownBody(job) };
  const entry = {};
  for (const [name, encode] of Object.entries(FIELDS)) {
    if (given[name] !== undefined && given[name] !== null) entry[name] = encode(name, given[name]);
  }
  if (!('url' in entry)) throw new InvalidJob('url', 'is missing');
  if (hasKey(job)) {
    sized(': write 1 to 256 bytes')('key', job.key);
    number(1, 3650 * DAY_MS, 'must be 1 ms to 3650 days')('key_ttl_ms', keyTtl(job));
  }
  if (sizeOf(entry) > maxJobBytes) throw new InvalidJob(null, `${sizeOf(entry)} bytes are too many; at most ${maxJobBytes}`);
  return entry;
}

/** The fields of many jobs. */
export function entriesOf(jobs, maxJobBytes) {
  return jobs.map((job, index) => {
    try {
      return fields(job, maxJobBytes);
    } catch (error) {
      if (error instanceof InvalidJob) Object.assign(error, { index, message: `jobs[${index}]: ${error.message}` });
      throw error;
    }
  });
}

/** What a value is, for an error. */
export const kind = (value) => (value === null || value === undefined ? String(value) : `a ${value.constructor?.name ?? typeof value}`);

/** Options, of which a misspelt one would have no effect. */
export function known(options, names) {
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) throw new TypeError(`the option ${JSON.stringify(unknown)} is not known; known are ${names.join(', ')}`);
}

export const sizeOf = (entry) => Object.entries(entry).reduce((sum, [name, value]) => sum + name.length + bytes(value), 0);
export const hasKey = (job) => job.key !== undefined && job.key !== null;
/** The key that selects the shard of a job; `null` if any shard will do. */
export const routeOf = (job) => job.order ?? job.key ?? null;
export const keyTtl = (job) => job.key_ttl_ms ?? DAY_MS;

function encoded(pairs) {
  const search = new URLSearchParams();
  for (const [name, values] of Symbol.iterator in pairs ? pairs : Object.entries(pairs)) {
    for (const value of Array.isArray(values) ? values : [values]) search.append(name, String(value));
  }
  return search.toString();
}

function withParams(job) {
  if (!job.params || typeof job.url !== 'string') return job.url;
  const [, base, fragment] = /^([^#]*)(.*)$/s.exec(job.url);
  return `${base}${base.includes('?') ? '&' : '?'}${encoded(job.params)}${fragment}`;
}

function ownBody(job) {
  if ([job.body, job.json, job.form].filter((one) => one !== undefined && one !== null).length > 1) {
    throw new InvalidJob('body', 'is given twice: of `body`, `json` and `form`, give one');
  }
  if (job.form) return { body: encoded(job.form), headers: typed(job.headers, 'application/x-www-form-urlencoded') };
  if (job.json === undefined || job.json === null) return {};
  let json;
  try {
    json = JSON.stringify(job.json);
  } catch (error) {
    throw new InvalidJob('json', `is not JSON: ${error.message}`);
  }
  if (json === undefined) throw new InvalidJob('json', 'is not JSON: it is a function or a symbol');
  // The worker recognizes an object or a list by itself.
  return /^[{[]/.test(json) && bytes(json) <= JSON_BYTES_MAX ? { body: json } : { body: json, headers: typed(job.headers, 'application/json') };
}

function typed(own, type) {
  const has = Object.keys(own ?? {}).some((name) => name.toLowerCase() === 'content-type');
  return has ? own : { ...own, 'content-type': type };
}
