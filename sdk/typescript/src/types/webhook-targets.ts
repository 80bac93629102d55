import type { WebhookEventName } from '../webhooks/events.js';
import type { OrgInput, PageInput } from './common.js';

/** Where events are delivered, without its secret. */
export interface WebhookTarget {
  id: string;
  name: string | null;
  url: string;
  events: WebhookEventName[];
  /** The repos it is told of; null = all of the org. */
  repo_ids: string[] | null;
  created_at: string;
  updated_at: string;
}

/** A new target. */
export interface WebhookTargetCreated extends WebhookTarget {
  /** Signs every delivery; shown only this once. */
  secret: string;
}

/** Makes a target. */
export interface WebhookTargetCreateInput extends OrgInput {
  /** http or https, without a user name or password. */
  url: string;
  name?: string | undefined;
  /** `push` when absent. */
  events?: WebhookEventName[] | undefined;
  repo_ids?: string[] | undefined;
}

/** Lists targets. */
export type WebhookTargetListInput = OrgInput & PageInput;

/** Names a target. */
export interface WebhookTargetGetInput extends OrgInput {
  webhookTargetId: string;
}

/** Changes a target; what is absent stays. */
export interface WebhookTargetUpdateInput extends WebhookTargetGetInput {
  /** null removes it. */
  name?: string | null | undefined;
  url?: string | undefined;
  events?: WebhookEventName[] | undefined;
  /** null = all of the org. */
  repo_ids?: string[] | null | undefined;
}

/** Names the target to delete. */
export type WebhookTargetDeleteInput = WebhookTargetGetInput;

/** One event on its way to one target. */
export interface Delivery {
  /** Sent as `x-mesa-delivery`. */
  id: string;
  /** The same in every delivery of an event. */
  event_id: string;
  event: WebhookEventName;
  repo_id: string;
  state: 'pending' | 'delivered' | 'failed';
  /** The newest last. */
  attempts: DeliveryAttempt[];
  /** null unless it is pending. */
  next_attempt_at: string | null;
  created_at: string;
  finished_at: string | null;
  /** The delivery that this one repeats. */
  redelivery_of: string | null;
}

/** One request to a target. */
export interface DeliveryAttempt {
  at: string;
  /** The answer's status; null = there was none. */
  status: number | null;
  /** Why there was none. */
  error: string | null;
  duration_ms: number;
}

/** Lists deliveries to a target, newest first. */
export type DeliveryListInput = WebhookTargetGetInput & PageInput;

/** Names the delivery to repeat. */
export interface RedeliverInput extends WebhookTargetGetInput {
  delivery: string;
}
