import {
  ConnectionError,
  InvalidResponseError,
  MesaApiError,
  type MesaError,
  TimeoutError,
} from '../errors/index.js';

/** How often and how long a failed call is tried again. */
export interface RetryPolicy {
  /** Tries after the first. */
  maxRetries: number;
  /** Wait before the second try, in milliseconds; doubled for each one after. */
  baseDelayMs: number;
  /** No wait of our own is longer. */
  maxDelayMs: number;
  /** A server that asks for a longer wait is not asked again. */
  maxRetryAfterMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  maxRetries: 3,
  baseDelayMs: 250,
  maxDelayMs: 8_000,
  maxRetryAfterMs: 60_000,
};

/** Statuses that may be another one the next time. Not 507: a full disk stays full. */
const RETRIED = new Set([408, 429, 500, 502, 503, 504]);

/** Whether the same request may succeed when it is sent again. */
export function isRetryable(error: MesaError): boolean {
  if (error instanceof MesaApiError) {
    return RETRIED.has(error.status) || error.code === 'LOCK_CONFLICT';
  }
  return (
    error instanceof ConnectionError ||
    error instanceof TimeoutError ||
    error instanceof InvalidResponseError
  );
}

/**
 * The wait before the next try in milliseconds, or undefined when there is to be none.
 *
 * Half of it is random, so that clients that failed together do not come back together; what the
 * server asks for is waited for in full.
 *
 * @param failed tries so far, from 1
 * @param random a number from 0 to 1
 */
export function retryDelayMs(
  error: MesaError,
  failed: number,
  policy: RetryPolicy,
  random: number,
): number | undefined {
  if (failed > policy.maxRetries || !isRetryable(error)) return undefined;
  const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (failed - 1));
  const own = ceiling * (0.5 + random / 2);
  const asked = error instanceof MesaApiError ? error.retryAfterMs : undefined;
  if (asked === undefined) return own;
  return asked > policy.maxRetryAfterMs ? undefined : asked + own / 2;
}

/** `Retry-After` in milliseconds: seconds or a date. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null || value.trim() === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
