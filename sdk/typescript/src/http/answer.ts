import { apiError, InvalidResponseError, type MesaApiError } from '../errors/index.js';
import { parseRetryAfter } from './retry.js';

/** What is known of the request that was answered. */
export interface Asked {
  method: string;
  url: string;
  attempts: number;
}

/** Text longer than this is no message for people. */
const MESSAGE_CHARS_MAX = 300;

/** The error of an answer that is not a success. Also of proxies that do not know our form. */
export async function refusal(response: Response, asked: Asked): Promise<MesaApiError> {
  const text = await response.text();
  const body = parsed(text);
  const whole = isRecord(body) ? body : {};
  const inner = isRecord(whole['error']) ? whole['error'] : whole;
  const message = str(inner['message']) ?? (isRecord(body) ? undefined : text.trim());
  return apiError({
    ...asked,
    status: response.status,
    code: str(inner['code']) ?? `HTTP_${response.status}`,
    message: (message || response.statusText || 'no reason given').slice(0, MESSAGE_CHARS_MAX),
    details: isRecord(inner['details']) ? inner['details'] : undefined,
    traceId:
      str(inner['trace_id']) ??
      str(whole['trace_id']) ??
      response.headers.get('x-request-id') ??
      undefined,
    retryAfterMs: parseRetryAfter(response.headers.get('retry-after'), Date.now()),
    headers: response.headers,
    body: body ?? text,
  });
}

/** The JSON body of a success. */
export async function json<T>(response: Response, asked: Asked): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    const what = `${asked.method} ${asked.url}: the answer (${response.status}) is not JSON`;
    throw new InvalidResponseError(what, { cause });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const str = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
