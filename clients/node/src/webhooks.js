// Verifies signatures by Standard Webhooks 1.0, as the worker makes them: `v1` (HMAC-SHA256) and `v1a` (Ed25519).

import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';

/** The request is not from the owner of any of the keys, or not from now. */
export class InvalidSignature extends Error {
  name = 'InvalidSignature';
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function parsed(key) {
  if (typeof key !== 'string') throw new TypeError('give at least one key, each as a text');
  const [, prefix, text] = /^(\w+?)_(.*)$/s.exec(key) ?? [];
  if (!BASE64.test(text ?? '?')) throw new TypeError('the text after `whsec_` or `whpk_` must be Base64');
  const raw = Buffer.from(text, 'base64');
  if (prefix === 'whsec' && raw.length >= 24 && raw.length <= 64) {
    const check = (content, signature) => {
      const own = createHmac('sha256', raw).update(content).digest();
      return own.length === signature.length && timingSafeEqual(own, signature);
    };
    return { version: 'v1', check };
  }
  if (prefix === 'whpk' && raw.length === 32) {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });
    return { version: 'v1a', check: (content, signature) => signature.length === 64 && verify(null, content, key, signature) };
  }
  throw new TypeError('a key is `whsec_` and 24 to 64 bytes in Base64, or `whpk_` and 32 bytes');
}

export class Verifier {
  #keys;
  #tolerance;

  constructor(keys, { toleranceSeconds = 300 } = {}) {
    this.#keys = [keys].flat().map(parsed);
    if (this.#keys.length === 0) throw new TypeError('give at least one key, each as a text');
    this.#tolerance = toleranceSeconds;
  }

  verify(headers, body, { now = Date.now() / 1000 } = {}) {
    const pairs = typeof headers.entries === 'function' ? [...headers.entries()] : Object.entries(headers);
    const given = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
    const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
    const missing = names.find((name) => !given[name]);
    if (missing) throw new InvalidSignature(`the header ${missing} is missing`);
    const [id, timestamp, signatures] = names.map((name) => String(given[name]));
    if (!/^[0-9]+$/.test(timestamp)) throw new InvalidSignature('the header webhook-timestamp is not Unix time in seconds');
    if (Math.abs(Number(timestamp) - now) > this.#tolerance) {
      throw new InvalidSignature('the header webhook-timestamp is too far from now');
    }
    if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
      throw new TypeError('give the body as it came, as a text or bytes: the signature is of its bytes');
    }
    const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), Buffer.from(body)]);
    for (const signature of signatures.split(' ')) {
      const [, version, text] = /^([^,]*),(.*)$/.exec(signature) ?? [];
      if (!BASE64.test(text ?? '?')) continue;
      const raw = Buffer.from(text, 'base64');
      if (this.#keys.some((key) => key.version === version && key.check(content, raw))) return id;
    }
    throw new InvalidSignature('no signature is that of a known key');
  }
}
