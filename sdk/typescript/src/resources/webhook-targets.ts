import type { Api } from '../http/api.js';
import type { PageRequest } from '../http/page.js';
import type { RequestOptions, Success } from '../types/common.js';
import type {
  Delivery,
  DeliveryListInput,
  RedeliverInput,
  WebhookTarget,
  WebhookTargetCreated,
  WebhookTargetCreateInput,
  WebhookTargetDeleteInput,
  WebhookTargetGetInput,
  WebhookTargetListInput,
  WebhookTargetUpdateInput,
} from '../types/webhook-targets.js';

const ONE = '/{org}/webhook-targets/{webhookTargetId}';

/** Where events are delivered. Scope of all of it: admin. */
export const webhookTargetsResource = (api: Api) => ({
  /** Targets in the order they were made. */
  list: (
    input?: WebhookTargetListInput,
    options?: RequestOptions,
  ): PageRequest<'webhook_targets', WebhookTarget> =>
    api.list('webhook_targets', '/{org}/webhook-targets', input, options),

  /** Makes a target; its secret is in this answer only. */
  create: (
    input: WebhookTargetCreateInput,
    options?: RequestOptions,
  ): Promise<WebhookTargetCreated> => api.send('POST', '/{org}/webhook-targets', input, options),

  /** A target without its secret. */
  get: (input: WebhookTargetGetInput, options?: RequestOptions): Promise<WebhookTarget> =>
    api.send('GET', ONE, input, options),

  /** Changes what is named. */
  update: (input: WebhookTargetUpdateInput, options?: RequestOptions): Promise<WebhookTarget> =>
    api.send('PATCH', ONE, input, options),

  /** Ends its deliveries. */
  delete: (input: WebhookTargetDeleteInput, options?: RequestOptions): Promise<Success> =>
    api.send('DELETE', ONE, input, options),

  /** What was and is to be delivered, newest first. */
  deliveries: (
    input: DeliveryListInput,
    options?: RequestOptions,
  ): PageRequest<'deliveries', Delivery> =>
    api.list('deliveries', `${ONE}/deliveries`, input, options),

  /** Sends an event once more, after what is queued. */
  redeliver: (input: RedeliverInput, options?: RequestOptions): Promise<Delivery> =>
    api.send('POST', `${ONE}/deliveries/{delivery}/redeliver`, input, options),
});
