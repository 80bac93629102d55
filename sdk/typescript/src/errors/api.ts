import type { ConflictHunk } from '../types/diffs.js';
import { MesaError, named } from './base.js';

/** What an answer that is not a success says. */
export interface ApiErrorFacts {
  status: number;
  code: string;
  message: string;
  details?: Record<string, unknown> | undefined;
  traceId?: string | undefined;
  retryAfterMs?: number | undefined;
  headers: Headers;
  body: unknown;
  method: string;
  url: string;
  attempts: number;
}

/** The server refused. There is a class for every status; this is the root of them. */
export class MesaApiError extends MesaError {
  /** HTTP status. */
  readonly status: number;
  /** Facts about the refusal, by code; see the server's documentation. */
  readonly details: Record<string, unknown> | undefined;
  /** Names the request in the server's log. */
  readonly traceId: string | undefined;
  /** How long the server asks to wait before the next try, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Headers of the answer. */
  readonly headers: Headers;
  /** Body of the answer: parsed if it is JSON, else text. */
  readonly body: unknown;
  /** Method of the request. */
  readonly method: string;
  /** URL of the request. */
  readonly url: string;
  /** How often it was tried. */
  readonly attempts: number;

  constructor(facts: ApiErrorFacts) {
    super(facts.code, `${facts.code}: ${facts.message}`);
    this.status = facts.status;
    this.details = facts.details;
    this.traceId = facts.traceId;
    this.retryAfterMs = facts.retryAfterMs;
    this.headers = facts.headers;
    this.body = facts.body;
    this.method = facts.method;
    this.url = facts.url;
    this.attempts = facts.attempts;
    // Long, and of use to whoever asks for them only.
    for (const key of ['headers', 'body'] as const) {
      Object.defineProperty(this, key, { enumerable: false });
    }
  }
  static {
    named(MesaApiError, 'MesaApiError');
  }
}

/** 400: a wrong name, number, body or query value, or something this server does not offer. */
export class BadRequestError extends MesaApiError {
  static {
    named(BadRequestError, 'BadRequestError');
  }
}

/** 401: no credential, or one that is unknown, expired or revoked; `code` tells which. */
export class AuthenticationError extends MesaApiError {
  static {
    named(AuthenticationError, 'AuthenticationError');
  }
}

/** 403: the credential does not carry the scope. */
export class PermissionDeniedError extends MesaApiError {
  static {
    named(PermissionDeniedError, 'PermissionDeniedError');
  }
}

/** 404: it does not exist, or the credential cannot see it. */
export class NotFoundError extends MesaApiError {
  static {
    named(NotFoundError, 'NotFoundError');
  }
}

/** 405: the path exists with other methods. */
export class MethodNotAllowedError extends MesaApiError {
  static {
    named(MethodNotAllowedError, 'MethodNotAllowedError');
  }
}

/** 406: this cannot be answered in the wanted form: a directory has no bytes. */
export class NotAcceptableError extends MesaApiError {
  static {
    named(NotAcceptableError, 'NotAcceptableError');
  }
}

/** 408: the body did not arrive in time. */
export class RequestTimeoutError extends MesaApiError {
  static {
    named(RequestTimeoutError, 'RequestTimeoutError');
  }
}

/** 409: the state does not allow it: a name in use, a stale commit, a conflict. */
export class ConflictError extends MesaApiError {
  static {
    named(ConflictError, 'ConflictError');
  }
}

/** A path that did not merge, with the hunks that a resolution has to name. */
export interface MergeConflict {
  path: string;
  hunks: ConflictHunk[];
}

/** 409 `MERGE_CONFLICT`: the sides did not merge, and nothing was written. */
export class MergeConflictError extends ConflictError {
  /** The paths in conflict. */
  get conflictPaths(): string[] {
    const paths = this.details?.['conflict_paths'];
    return Array.isArray(paths) ? paths : [];
  }

  /** The conflicts hunk by hunk; empty when the server lists paths only. */
  get conflicts(): MergeConflict[] {
    const conflicts = this.details?.['conflicts'];
    return Array.isArray(conflicts) ? conflicts : [];
  }
  static {
    named(MergeConflictError, 'MergeConflictError');
  }
}

/** 413: the body is larger than the server takes. */
export class PayloadTooLargeError extends MesaApiError {
  static {
    named(PayloadTooLargeError, 'PayloadTooLargeError');
  }
}

/** 414: the address is longer than the server takes. */
export class UriTooLongError extends MesaApiError {
  static {
    named(UriTooLongError, 'UriTooLongError');
  }
}

/** 415: the body is of a type that the route does not read. */
export class UnsupportedMediaTypeError extends MesaApiError {
  static {
    named(UnsupportedMediaTypeError, 'UnsupportedMediaTypeError');
  }
}

/** 416: the range lies outside the content. */
export class RangeNotSatisfiableError extends MesaApiError {
  static {
    named(RangeNotSatisfiableError, 'RangeNotSatisfiableError');
  }
}

/** 429: too many requests; `retryAfterMs` says when to come back. */
export class RateLimitError extends MesaApiError {
  static {
    named(RateLimitError, 'RateLimitError');
  }
}

/** 5xx: the server failed. */
export class ServerError extends MesaApiError {
  static {
    named(ServerError, 'ServerError');
  }
}

/** 500: a defect or damaged data; `traceId` finds it in the server's log. */
export class InternalServerError extends ServerError {
  static {
    named(InternalServerError, 'InternalServerError');
  }
}

/** 503: the server cannot answer now. */
export class UnavailableError extends ServerError {
  static {
    named(UnavailableError, 'UnavailableError');
  }
}

/** 507: the server has no room left. */
export class StorageFullError extends ServerError {
  static {
    named(StorageFullError, 'StorageFullError');
  }
}

type ApiErrorClass = new (facts: ApiErrorFacts) => MesaApiError;

/** The one table from statuses to classes. */
const BY_STATUS: Record<number, ApiErrorClass> = {
  400: BadRequestError,
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  405: MethodNotAllowedError,
  406: NotAcceptableError,
  408: RequestTimeoutError,
  409: ConflictError,
  413: PayloadTooLargeError,
  414: UriTooLongError,
  415: UnsupportedMediaTypeError,
  416: RangeNotSatisfiableError,
  429: RateLimitError,
  500: InternalServerError,
  503: UnavailableError,
  507: StorageFullError,
};

/** The error of an answer that is not a success, in its class. */
export function apiError(facts: ApiErrorFacts): MesaApiError {
  const byCode = facts.code === 'MERGE_CONFLICT' ? MergeConflictError : undefined;
  const byStatus = BY_STATUS[facts.status] ?? (facts.status >= 500 ? ServerError : MesaApiError);
  return new (byCode ?? byStatus)(facts);
}
