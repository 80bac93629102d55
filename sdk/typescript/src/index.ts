/// <reference lib="esnext.disposable" preserve="true" />

export type {
  AdminTokenInput,
  RepoTokenInput,
  ScopedTokenInput,
  TokenAuthor,
} from './auth/claims.js';
export { generatePrivateKey } from './auth/private-key.js';
export {
  AbortedError,
  AuthenticationError,
  BadRequestError,
  ClientClosedError,
  ConflictError,
  ConnectionError,
  InternalServerError,
  InvalidApiUrlError,
  InvalidOptionsError,
  InvalidResponseError,
  type MergeConflict,
  MergeConflictError,
  MesaApiError,
  MesaError,
  MesaWebhookVerificationError,
  MethodNotAllowedError,
  MissingApiKeyError,
  MissingCredentialError,
  MissingWebhookSecretError,
  NativeAddonError,
  NotAcceptableError,
  NotFoundError,
  OrgResolutionError,
  PayloadTooLargeError,
  PermissionDeniedError,
  RangeNotSatisfiableError,
  RateLimitError,
  RequestTimeoutError,
  ServerError,
  StorageFullError,
  TimeoutError,
  UnavailableError,
  UnsupportedMediaTypeError,
  UriTooLongError,
  type WebhookRefusal,
} from './errors/index.js';
export type { Bash, BashOptions, BashResult } from './fs/bash.js';
export {
  type FsChange,
  type FsEncoding,
  type FsStat,
  type FsUnsubscribe,
  MesaFileSystem,
} from './fs/filesystem.js';
export type { FsMountOptions, MountRepo } from './fs/mount.js';
export type {
  Durability,
  LogRecord,
  NativeChange,
  NativeDirent,
  NativeFileSystem,
  NativeStat,
  NativeWatcher,
  RepoState,
} from './fs/native.js';
export type { MesaFileHandle } from './fs/promises.js';
export { MesaDirent, MesaStats } from './fs/stats.js';
export type { ReadStreamOptions, WriteStreamOptions } from './fs/streams.js';
export type { Page, PageBody, PageRequest } from './http/page.js';
export type { RetryPolicy } from './http/retry.js';
export { Mesa } from './mesa.js';
export type { AccessToken, AdminToken, RepoToken, ScopedToken } from './resources/tokens.js';
export type { MesaOptions } from './settings.js';
export type * from './types/index.js';
export { VERSION } from './version.js';
export type {
  EventBookmark,
  EventChange,
  EventPushUpdate,
  EventRepo,
  EventRepoSnapshot,
  PushPayload,
  SyncPayload,
  WebhookEvent,
  WebhookEventName,
  WebhookEventOf,
  WebhookHandler,
  WebhookPayloads,
} from './webhooks/events.js';
export { SIGNATURE_HEADER, type VerifyWebhookInput, verifyWebhook } from './webhooks/verify.js';

/**
 * The change every repo begins with: an empty tree. Use it as `base_change_id` of a repo's first
 * change.
 */
export const VIRTUAL_ROOT_CHANGE_ID = 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz';
