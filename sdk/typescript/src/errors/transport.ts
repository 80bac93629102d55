import { MesaError, named } from './base.js';

/** The server could not be reached, or the connection broke; `cause` is what `fetch` said. */
export class ConnectionError extends MesaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('CONNECTION_FAILED', message, options);
  }
  static {
    named(ConnectionError, 'ConnectionError');
  }
}

/** The server did not answer in time. A write may have had its effect. */
export class TimeoutError extends MesaError {
  /** The time it had, in milliseconds. */
  readonly timeoutMs: number;

  constructor(what: string, timeoutMs: number) {
    super('TIMEOUT', `${what}: no answer within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
  static {
    named(TimeoutError, 'TimeoutError');
  }
}

/**
 * The caller's `AbortSignal` fired; `cause` is its reason. A write may have had its effect.
 * Its `name` is `AbortError`, as of every aborted operation in Node.
 */
export class AbortedError extends MesaError {
  constructor(reason: unknown) {
    super('ABORTED', 'The call was aborted', { cause: reason });
  }
  static {
    named(AbortedError, 'AbortError');
  }
}

/** A success whose body is not what it says it is; something between here and the server changed it. */
export class InvalidResponseError extends MesaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('INVALID_RESPONSE', message, options);
  }
  static {
    named(InvalidResponseError, 'InvalidResponseError');
  }
}
