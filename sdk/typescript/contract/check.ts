// Compares this package's types with the contract that the server publishes (docs/openapi.json).
// It compiles if what the server answers is what methods promise, and what methods take is what the
// server reads. Operations that the server does not offer yet are left out.
import type { Mesa } from '@mesadev/sdk';
import type { Operations } from './served.js';

/** The method of each operation. */
interface Methods {
  whoami: Mesa['whoami'];
  getOrg: Mesa['org']['get'];
  listAudit: Mesa['org']['audit'];
  listOrgs: Mesa['orgs']['list'];
  createOrg: Mesa['orgs']['create'];
  listApiKeys: Mesa['apiKeys']['list'];
  createApiKey: Mesa['apiKeys']['create'];
  updateApiKey: Mesa['apiKeys']['update'];
  revokeApiKey: Mesa['apiKeys']['revoke'];
  listSigningKeys: Mesa['signingKeys']['list'];
  createSigningKey: Mesa['signingKeys']['create'];
  revokeSigningKey: Mesa['signingKeys']['revoke'];
  listWebhookTargets: Mesa['webhookTargets']['list'];
  createWebhookTarget: Mesa['webhookTargets']['create'];
  getWebhookTarget: Mesa['webhookTargets']['get'];
  updateWebhookTarget: Mesa['webhookTargets']['update'];
  deleteWebhookTarget: Mesa['webhookTargets']['delete'];
  listDeliveries: Mesa['webhookTargets']['deliveries'];
  redeliver: Mesa['webhookTargets']['redeliver'];
  listRepos: Mesa['repos']['list'];
  createRepo: Mesa['repos']['create'];
  getRepo: Mesa['repos']['get'];
  updateRepo: Mesa['repos']['update'];
  deleteRepo: Mesa['repos']['delete'];
  bulkUpdateRepoTags: Mesa['repos']['bulkUpdateTags'];
  syncUpstream: Mesa['repos']['syncUpstream'];
  getRepoUpstreamSync: Mesa['repos']['getUpstreamSync'];
  listRepoUpstreamSyncs: Mesa['repos']['listUpstreamSyncs'];
  getContent: Mesa['content']['get'];
  listBookmarks: Mesa['bookmarks']['list'];
  createBookmark: Mesa['bookmarks']['create'];
  getBookmark: Mesa['bookmarks']['get'];
  moveBookmark: Mesa['bookmarks']['move'];
  deleteBookmark: Mesa['bookmarks']['delete'];
  mergeBookmark: Mesa['bookmarks']['merge'];
  listChanges: Mesa['changes']['list'];
  createChange: Mesa['changes']['create'];
  getChange: Mesa['changes']['get'];
  updateChange: Mesa['changes']['update'];
  closeChange: Mesa['changes']['close'];
  abandonChange: Mesa['changes']['abandon'];
  listActions: Mesa['operations']['list'];
  getAction: Mesa['operations']['get'];
  undoAction: Mesa['operations']['undo'];
  restorePaths: Mesa['operations']['restore'];
  getDiff: Mesa['diffs']['get'];
}
type Compared = keyof Methods & keyof Operations;

/** What is not sent as it is given: bytes are encoded, filters are written as text. */
type Encoded = 'files' | 'resolutions' | 'tags' | 'metadata';

type Answer<Id extends Compared> = Id extends 'getContent'
  ? Widened<Awaited<ReturnType<Methods[Id]>>>
  : Plain<Awaited<ReturnType<Methods[Id]>>>;
/** The schema does not say that only symlinks have the mode of one: any text will do. */
type Widened<T> = T extends string
  ? string
  : T extends object
    ? { [K in keyof T]: Widened<T[K]> }
    : T;
/** A page without what this package adds to it. */
type Plain<A> = A extends { nextPage: unknown }
  ? Omit<A, 'nextPage' | typeof Symbol.asyncIterator>
  : A;
type Unanswered = {
  [Id in Compared]: Operations[Id]['answer'] extends Answer<Id> ? never : Id;
}[Compared];

type Input<Id extends Compared> = Omit<
  NonNullable<Parameters<Methods[Id]>[0]>,
  Operations[Id]['path'] | 'org'
>;
type Read<Id extends Compared> = [Operations[Id]['body']] extends [never]
  ? Operations[Id]['query']
  : Operations[Id]['body'];
/** whoami takes options only. */
type WithInput = Exclude<Compared, 'whoami'>;
type Unread = {
  [Id in WithInput]: Omit<Input<Id>, Encoded> extends Omit<Read<Id>, Encoded> ? never : Id;
}[WithInput];
/** Fields that a method takes and the server does not know, and the other way round. */
type Unnamed = {
  [Id in WithInput]:
    | `${Id}: ${Exclude<keyof Input<Id>, keyof Read<Id> | 'metadata'> & string} is not read`
    | `${Id}: ${Exclude<keyof Read<Id>, keyof Input<Id>> & string} cannot be given`;
}[WithInput];

/** An error here names the operations that differ. */
type None<Differing extends never> = Differing;
export type Same = [None<Unanswered>, None<Unread>, None<Unnamed>];
