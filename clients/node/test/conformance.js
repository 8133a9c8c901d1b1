// Reads the cases that all clients share.

import { readFileSync } from 'node:fs';

export function cases(name) {
  const text = readFileSync(new URL(`../../conformance/${name}.json`, import.meta.url), 'utf8');
  const whole = text.replace(/<([^<>])\*(\d+)>/gu, (_, character, times) => character.repeat(Number(times)));
  return JSON.parse(whole).filter((one) => (one.only ?? ['node']).includes('node'));
}

/** A job as this client takes it. */
export function job({ body, body_base64, ...description }) {
  if (body_base64 !== undefined) return { ...description, body: Buffer.from(body_base64, 'base64') };
  return { ...description, ...(typeof body === 'string' || body === undefined ? { body } : { json: body }) };
}
