import { generatePrivateKey } from '../auth/private-key.js';
import type { Api, ResolveOrg } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type { RequestOptions, Success } from '../types/common.js';
import type {
  ApiKey,
  ApiKeyCreated,
  ApiKeyCreateInput,
  ApiKeyListInput,
  ApiKeyRevokeInput,
  ApiKeyTags,
  ApiKeyUpdateInput,
  SigningKey,
  SigningKeyCreateInput,
  SigningKeyGenerated,
  SigningKeyGenerateInput,
  SigningKeyListInput,
  SigningKeyRevokeInput,
} from '../types/keys.js';

/** API keys. Scope of all of it: admin. */
export const apiKeysResource = (api: Api) => ({
  /** Keys without their secrets. */
  list: (input?: ApiKeyListInput, options?: RequestOptions): PageRequest<'api_keys', ApiKey> =>
    api.list('api_keys', '/{org}/api-keys', input, options),

  /** Makes a key; its secret is in this answer only. */
  create: (input?: ApiKeyCreateInput, options?: RequestOptions): Promise<ApiKeyCreated> =>
    api.send('POST', '/{org}/api-keys', input, options),

  /** Changes a key's tags. */
  update: (input: ApiKeyUpdateInput, options?: RequestOptions): Promise<ApiKeyTags> =>
    api.send('PATCH', '/{org}/api-keys/{id}', input, options),

  /** Ends a key and every token signed with it, on live mounts too. */
  revoke: (input: ApiKeyRevokeInput, options?: RequestOptions): Promise<Success> =>
    api.send('DELETE', '/{org}/api-keys/{id}', input, options),
});

/** Keys that clients sign their own tokens with. Scope of all of it: admin. */
export const signingKeysResource = (api: Api, resolveOrg: ResolveOrg) => ({
  /** Keys in the order they were registered. */
  list: (
    input?: SigningKeyListInput,
    options?: RequestOptions,
  ): PageRequest<'signing_keys', SigningKey> =>
    api.list('signing_keys', '/{org}/signing-keys', input, options),

  /** Registers a public key. */
  create: (input: SigningKeyCreateInput, options?: RequestOptions): Promise<SigningKey> =>
    api.send('POST', '/{org}/signing-keys', input, options),

  /** Makes a key pair and registers its public half. The private half never leaves this process. */
  generate: async (
    input: SigningKeyGenerateInput = {},
    options?: RequestOptions,
  ): Promise<SigningKeyGenerated> => {
    const org = await resolveOrg(input.org, options);
    const { privateKey, publicKey } = generatePrivateKey(org);
    const wish: SigningKeyCreateInput = { ...input, org, public_key: publicKey };
    const made = await api.send<SigningKey>('POST', '/{org}/signing-keys', wish, options);
    return { ...made, private_key: privateKey };
  },

  /** Ends a key and every token signed with it. */
  revoke: (input: SigningKeyRevokeInput, options?: RequestOptions): Promise<Success> =>
    api.send('DELETE', '/{org}/signing-keys/{id}', input, options),
});
