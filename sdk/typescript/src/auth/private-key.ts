import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { InvalidOptionsError } from '../errors/index.js';

const PREFIX = 'mesa_private_key_';
const SLUG = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
/** PKCS#8 of an Ed25519 key (RFC 8410) up to its 32 bytes. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;

/** A key that signs tokens for an org: `mesa_private_key_<org>_<base64url of its PKCS#8>`. */
export interface PrivateKey {
  /** Slug of the org it belongs to. */
  org: string;
  /** Raw public half in base64url: `x` of its JWK. */
  publicKey: string;
  /** Ed25519 signature of a text. */
  sign: (text: string) => Uint8Array;
}

/** Reads the text form. Errors never show the key. */
export function parsePrivateKey(text: string): PrivateKey {
  const refuse = (why: string) => new InvalidOptionsError(`The private key ${why}`);
  if (!text.startsWith(PREFIX)) throw refuse(`does not begin with ${PREFIX}`);
  const [, org, encoded] = /^([^_]*)_(.*)$/s.exec(text.slice(PREFIX.length)) ?? [];
  if (org === undefined || encoded === undefined || !SLUG.test(org)) throw refuse('names no org');
  const der = Buffer.from(encoded, 'base64url');
  const exact =
    der.toString('base64url') === encoded &&
    der.length === PKCS8_HEAD.length + SEED_BYTES &&
    der.subarray(0, PKCS8_HEAD.length).equals(PKCS8_HEAD);
  if (!exact) throw refuse('is not the PKCS#8 form of an Ed25519 key in base64url');
  return withPublic(org, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
}

/** A new key pair: the text form of the private half, and the public half to register. */
export function generatePrivateKey(org: string): { privateKey: string; publicKey: string } {
  if (!SLUG.test(org)) throw new InvalidOptionsError(`${JSON.stringify(org)} is no org's slug`);
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  const { publicKey } = withPublic(org, privateKey);
  return { privateKey: `${PREFIX}${org}_${der.toString('base64url')}`, publicKey };
}

function withPublic(org: string, key: KeyObject): PrivateKey {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  if (x === undefined) throw new InvalidOptionsError('The private key has no public half');
  return { org, publicKey: x, sign: (text) => sign(null, Buffer.from(text), key) };
}
