import { createHmac, timingSafeEqual } from 'node:crypto';
import { MesaWebhookVerificationError, MissingWebhookSecretError } from '../errors/index.js';
import type { WebhookEvent } from './events.js';

/** The header that carries a delivery's signature. */
export const SIGNATURE_HEADER = 'x-mesa-signature';

const TOLERANCE_SECONDS = 300;

/** A delivery and what it is to be checked with. */
export interface VerifyWebhookInput {
  /** The body as it was received, before anything parsed it. */
  body: string | Uint8Array;
  /** The header `x-mesa-signature`. */
  signature: string | null | undefined;
  /** The target's secret, or several while one is replaced. */
  secret: string | string[];
  /** How far the sender's clock may be from ours; 300 when absent. */
  toleranceSeconds?: number | undefined;
}

/**
 * The event of a delivery, if one of the secrets signed it and it is not old.
 *
 * An event of a kind that this version does not know is answered too: refusing it would make the
 * server send it again for a day and hold back what comes after it.
 */
export function verifyWebhook(input: VerifyWebhookInput): WebhookEvent {
  const secrets = [input.secret].flat().filter((secret) => secret !== '');
  if (secrets.length === 0) throw new MissingWebhookSecretError();
  const { timestamp, digests } = parseSignature(input.signature);
  const body = typeof input.body === 'string' ? Buffer.from(input.body) : input.body;
  const matches = secrets.some((secret) => {
    const wanted = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest();
    return digests.some((digest) => timingSafeEqual(digest, wanted));
  });
  if (!matches) {
    throw new MesaWebhookVerificationError('signature_mismatch', 'The signature does not match');
  }
  const age = Math.abs(Date.now() / 1000 - Number(timestamp));
  const tolerance = input.toleranceSeconds ?? TOLERANCE_SECONDS;
  if (!(age <= tolerance)) {
    throw new MesaWebhookVerificationError(
      'timestamp_out_of_tolerance',
      `The delivery was signed ${Math.round(age)} s from now; ${tolerance} s are allowed`,
    );
  }
  return parseEvent(body);
}

/** `t=<seconds>,sha256=<hex>`; more digests may follow. */
function parseSignature(header: string | null | undefined): {
  timestamp: string;
  digests: Buffer[];
} {
  if (!header) {
    throw new MesaWebhookVerificationError('signature_missing', `No ${SIGNATURE_HEADER} header`);
  }
  const parts = header.split(',').map((part) => part.trim());
  const values = (name: string) =>
    parts.filter((p) => p.startsWith(`${name}=`)).map((p) => p.slice(name.length + 1));
  const [timestamp, ...others] = values('t');
  const digests = values('sha256').filter((hex) => /^[0-9a-f]{64}$/.test(hex));
  if (!timestamp || !/^\d{1,12}$/.test(timestamp) || others.length > 0 || digests.length === 0) {
    const why = `${SIGNATURE_HEADER} is not t=<seconds>,sha256=<hex>`;
    throw new MesaWebhookVerificationError('signature_malformed', why);
  }
  return { timestamp, digests: digests.map((hex) => Buffer.from(hex, 'hex')) };
}

function parseEvent(body: Uint8Array): WebhookEvent {
  let event: Partial<WebhookEvent> | null;
  try {
    event = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new MesaWebhookVerificationError('event_malformed', 'The body is not JSON', { cause });
  }
  const whole =
    typeof event?.id === 'string' &&
    typeof event.type === 'string' &&
    typeof event.data === 'object' &&
    event.data !== null;
  if (whole) return event as WebhookEvent;
  throw new MesaWebhookVerificationError('event_malformed', 'The body is no event');
}
