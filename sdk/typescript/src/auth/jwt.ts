import { createHash, createHmac, randomUUID } from 'node:crypto';
import type { PrivateKey } from './private-key.js';

const TYPE = 'mesa-at+jwt';
const AUDIENCE = 'mesa-api';

/** What a token says, besides what every one says. */
export type Claims = Record<string, unknown>;

/** A token and when it ends. */
export interface Signed {
  token: string;
  /** Seconds since 1970. */
  expiresAt: number;
}

/** Signs with an API key (form A). The HMAC key is what the server keeps of the API key. */
export function signWithApiKey(
  apiKey: string,
  keyId: string,
  claims: Claims,
  ttlSeconds: number,
): Signed {
  const hmacKey = createHash('sha256').update(apiKey).digest('base64url');
  const header = { alg: 'HS256', typ: TYPE, kid: `${keyId}.v1` };
  return assemble(header, keyId, claims, ttlSeconds, (text) =>
    createHmac('sha256', hmacKey).update(text).digest(),
  );
}

/** Signs with a private key (forms B and C). */
export function signWithPrivateKey(key: PrivateKey, claims: Claims, ttlSeconds: number): Signed {
  const header = { alg: 'EdDSA', typ: TYPE, jwk: { kty: 'OKP', crv: 'Ed25519', x: key.publicKey } };
  return assemble(header, key.org, claims, ttlSeconds, key.sign);
}

function assemble(
  header: object,
  iss: string,
  claims: Claims,
  ttlSeconds: number,
  signature: (text: string) => Uint8Array,
): Signed {
  const iat = Math.floor(Date.now() / 1000);
  const exp = iat + ttlSeconds;
  const payload = { iss, aud: AUDIENCE, ...claims, iat, exp, jti: randomUUID() };
  const text = `${encoded(header)}.${encoded(payload)}`;
  return { token: `${text}.${Buffer.from(signature(text)).toString('base64url')}`, expiresAt: exp };
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
