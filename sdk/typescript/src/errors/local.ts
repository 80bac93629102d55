import { MesaError, named } from './base.js';

/** No API key, access token or private key was given, and none is in the environment. */
export class MissingCredentialError extends MesaError {
  constructor(
    message = 'No credential: pass apiKey, accessToken or privateKey, or set MESA_API_KEY',
  ) {
    super('MISSING_CREDENTIAL', message);
  }
  static {
    named(MissingCredentialError, 'MissingCredentialError');
  }
}

/** @deprecated The old name of {@link MissingCredentialError}; the same class. */
export const MissingApiKeyError = MissingCredentialError;

/** The address of the server is not an http or https URL. */
export class InvalidApiUrlError extends MesaError {
  constructor(message: string) {
    super('INVALID_API_URL', message);
  }
  static {
    named(InvalidApiUrlError, 'InvalidApiUrlError');
  }
}

/** An argument that cannot be right, whatever the server; nothing was sent. */
export class InvalidOptionsError extends MesaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('INVALID_OPTIONS', message, options);
  }
  static {
    named(InvalidOptionsError, 'InvalidOptionsError');
  }
}

/** The org was not named and could not be asked for; `cause` says why. */
export class OrgResolutionError extends MesaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('ORG_RESOLUTION_FAILED', message, options);
  }
  static {
    named(OrgResolutionError, 'OrgResolutionError');
  }
}

/** The client was closed before or during the call. */
export class ClientClosedError extends MesaError {
  constructor() {
    super('CLIENT_CLOSED', 'The client is closed');
  }
  static {
    named(ClientClosedError, 'ClientClosedError');
  }
}

/** Why a webhook delivery was not accepted. */
export type WebhookRefusal =
  | 'signature_missing'
  | 'signature_malformed'
  | 'signature_mismatch'
  | 'timestamp_out_of_tolerance'
  | 'body_too_large'
  | 'event_malformed';

/** A delivery that does not prove that it comes from the server, or is no event. */
export class MesaWebhookVerificationError extends MesaError {
  /** Why. */
  readonly reason: WebhookRefusal;

  constructor(reason: WebhookRefusal, message: string, options?: { cause?: unknown }) {
    super('WEBHOOK_VERIFICATION_FAILED', message, options);
    this.reason = reason;
  }
  static {
    named(MesaWebhookVerificationError, 'MesaWebhookVerificationError');
  }
}

/** Deliveries cannot be verified without the target's secret. */
export class MissingWebhookSecretError extends MesaError {
  constructor() {
    super(
      'MISSING_WEBHOOK_SECRET',
      'No webhook secret: pass webhookSecret, or set MESA_WEBHOOK_SECRET',
    );
  }
  static {
    named(MissingWebhookSecretError, 'MissingWebhookSecretError');
  }
}

/** The native addon, which mounts need, or just-bash is not installed or cannot be loaded. */
export class NativeAddonError extends MesaError {
  constructor(
    code: 'NATIVE_ADDON_MISSING' | 'NATIVE_ADDON_UNUSABLE' | 'BASH_MISSING',
    message: string,
    options?: { cause?: unknown },
  ) {
    super(code, message, options);
  }
  static {
    named(NativeAddonError, 'NativeAddonError');
  }
}
