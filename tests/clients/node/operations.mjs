// Every operation of `@mesadev/rest` and every method of the SDK, with arguments that are right in
// form.
import assert from 'node:assert/strict';
import * as rest from '@mesadev/rest';
import { Mesa } from '@mesadev/sdk';
import { ROOT, adminKey, org, origin } from './support.mjs';

const none = 'k'.repeat(32);

/** Arguments of every operation of `@mesadev/rest`; `repo` is the repo that is named. */
export const operations = (repo) => {
  const path = { repo };
  return {
    whoami: {},
    getOrg: {},
    listApiKeys: {},
    createApiKey: { body: {} },
    updateApiKey: { path: { id: 'key_none' }, body: { tags: {} } },
    revokeApiKey: { path: { id: 'key_none' } },
    listRepos: {},
    createRepo: { body: {} },
    bulkUpdateRepoTags: { body: { repo_ids: ['repo_none'], action: 'set', key: 'k', value: 'v' } },
    getRepo: { path },
    updateRepo: { path, body: {} },
    deleteRepo: { path },
    listRepoUpstreamSyncs: { path },
    getRepoUpstreamSync: { path: { ...path, syncId: 'sync_none' } },
    syncUpstream: { path, body: { direction: 'pull' } },
    getContent: { path },
    listBookmarks: { path },
    getBookmark: { path: { ...path, bookmark: 'none' } },
    createBookmark: { path, body: { name: 'none', change_id: none } },
    moveBookmark: { path: { ...path, bookmark: 'none' }, body: { change_id: none } },
    mergeBookmark: { path, body: { source: 'none', target: 'main' } },
    deleteBookmark: { path: { ...path, bookmark: 'none' } },
    listChanges: { path },
    getChange: { path: { ...path, change_id: none } },
    createChange: { path, body: { base_change_id: none } },
    updateChange: { path: { ...path, change_id: none }, body: { message: 'm' } },
    getDiff: { path, query: { base_change_id: none, head_change_id: ROOT } },
    listWebhookTargets: {},
    createWebhookTarget: { body: { url: 'https://hooks.example/' } },
    getWebhookTarget: { path: { webhookTargetId: 'wt_none' } },
    updateWebhookTarget: { path: { webhookTargetId: 'wt_none' }, body: {} },
    deleteWebhookTarget: { path: { webhookTargetId: 'wt_none' } },
  };
};

/** Arguments of every method of the SDK that makes a request. */
export const methods = (repo) => ({
  'org.get': {},
  'apiKeys.list': {},
  'apiKeys.create': {},
  'apiKeys.revoke': { id: 'key_none' },
  'repos.list': {},
  'repos.create': {},
  'repos.get': { repo },
  'repos.update': { repo },
  'repos.delete': { repo },
  'repos.syncUpstream': { repo, direction: 'pull' },
  'repos.getUpstreamSync': { repo, syncId: 'sync_none' },
  'repos.listUpstreamSyncs': { repo },
  'content.get': { repo },
  'bookmarks.list': { repo },
  'bookmarks.get': { repo, bookmark: 'none' },
  'bookmarks.create': { repo, name: 'none', change_id: none },
  'bookmarks.delete': { repo, bookmark: 'none' },
  'bookmarks.move': { repo, bookmark: 'none', change_id: none },
  'bookmarks.merge': { repo, source: 'none', target: 'main' },
  'changes.list': { repo },
  'changes.create': { repo, base_change_id: none },
  'changes.get': { repo, change_id: none },
  'changes.patch': { repo, change_id: none, message: 'm' },
  'diffs.get': { repo, base_change_id: none, head_change_id: ROOT },
  'webhookTargets.list': {},
  'webhookTargets.create': { url: 'https://hooks.example/' },
  'webhookTargets.update': { webhookTargetId: 'wt_none' },
  'webhookTargets.delete': { webhookTargetId: 'wt_none' },
});

/** Names of all operations that `@mesadev/rest` has. */
export const operationNames = Object.keys(rest).filter((name) => typeof rest[name] === 'function');

/** Names of all methods of the SDK's resources. */
export const methodNames = Object.entries(new Mesa({ apiKey: adminKey, apiUrl: `${origin}/v1`, vcsUrl: origin, org }))
  .filter(([name, value]) => value !== null && typeof value === 'object' && !['fs', 'restClient'].includes(name))
  .flatMap(([name, resource]) => Object.keys(resource).filter((m) => typeof resource[m] === 'function').map((m) => `${name}.${m}`));

// Methods that sign or dispatch on this machine.
const LOCAL = ['tokens.create', 'webhooks.on', 'webhooks.receive'];
assert.deepEqual(Object.keys(operations('')).sort(), [...operationNames].sort());
assert.deepEqual(Object.keys(methods('')).sort(), methodNames.filter((name) => !LOCAL.includes(name)).sort());
