// What clients need of the producer's protocol, without I/O: scripts, keys, shards.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export const SHARDS_MAX = 64;
/** How often an enqueue follows a number of shards that changes. */
export const MOVES_MAX = 5;
/** Jobs and bytes of one call: it blocks Redis. */
export const CALL_JOBS_MAX = 1000;
export const CALL_BYTES_MAX = 1 << 20;
/** More than any number of changes: for a key that a change has claimed which Redis has lost. */
export const ANY_CHANGE = '18446744073709551615';

export const SCRIPTS = Object.fromEntries(
  ['enqueue', 'enqueue_all', 'claim_keys', 'key_homes'].map((name) => {
    const source = readFileSync(new URL(`lua/${name}.lua`, import.meta.url), 'utf8');
    return [name, { source, sha1: createHash('sha1').update(source).digest('hex') }];
  }),
);

/** CRC16/XMODEM, as Redis Cluster uses it. */
export function crc16(text) {
  let crc = 0;
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

export const clamped = (shards) => Math.min(Math.max(Number(shards) || 1, 1), SHARDS_MAX);

/** The shards that these numbers of shards select for a key, each once. */
export function homes(key, numbers) {
  const hash = crc16(key);
  return [...new Set(numbers.map((number) => hash % clamped(number)))];
}

/** The keys of a queue. */
export function keysOf(queue) {
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(queue) || /^\.*$/.test(queue)) {
    throw new TypeError(`a queue's name must be 1 to 64 letters, digits, \`_\`, \`.\` or \`-\`, and not only dots: ${JSON.stringify(queue)}`);
  }
  return (what, shard = 0) => `postrider:{${shard ? `${queue}/${shard}` : queue}}:${what}`;
}

/** Divides jobs into calls. */
export function* calls(indices, size) {
  let call = [];
  let total = 0;
  for (const index of indices) {
    if (call.length > 0 && (call.length === CALL_JOBS_MAX || total + size(index) > CALL_BYTES_MAX)) {
      yield call;
      [call, total] = [[], 0];
    }
    call.push(index);
    total += size(index);
  }
  if (call.length > 0) yield call;
}
