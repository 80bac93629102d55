import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type { RequestOptions } from '../types/common.js';
import type {
  AuditListInput,
  AuditRecord,
  Org,
  OrgCreated,
  OrgCreateInput,
  OrgGetInput,
  OrgListInput,
  OrgSummary,
} from '../types/orgs.js';

/** The client's org. */
export const orgResource = (api: Api) => ({
  /** The org and how many repos the credential sees. Scope: read. */
  get: (input?: OrgGetInput, options?: RequestOptions): Promise<OrgSummary> =>
    api.send('GET', '/{org}', input, options),

  /** What changed the org, newest first. Scope: admin for the whole org. */
  audit: (input?: AuditListInput, options?: RequestOptions): PageRequest<'records', AuditRecord> =>
    api.list('records', '/{org}/audit', input, options),
});

/** All orgs of a server. Only the operator's key may. */
export const orgsResource = (api: Api) => ({
  /** In the order they were made. */
  list: (input?: OrgListInput, options?: RequestOptions): PageRequest<'orgs', Org> =>
    api.list('orgs', '/admin/orgs', input, options),

  /** Makes an org with its first admin key. */
  create: (input: OrgCreateInput, options?: RequestOptions): Promise<OrgCreated> =>
    api.send('POST', '/admin/orgs', input, options),
});
