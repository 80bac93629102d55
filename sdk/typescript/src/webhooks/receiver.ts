import { InvalidOptionsError, MesaWebhookVerificationError } from '../errors/index.js';
import type { WebhookEvent, WebhookEventName, WebhookHandler } from './events.js';
import { SIGNATURE_HEADER, verifyWebhook } from './verify.js';

/** No event is nearly as long; more is not read from a stranger. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;

type AnyHandler = (event: WebhookEvent) => void | Promise<void>;

/** Receives deliveries: verifies them and calls who asked for their events. */
export const webhooksResource = (secrets: string[]) => {
  const handlers = new Set<{ names: Set<string>; handle: AnyHandler }>();

  /** Calls the handlers of an event one after another. */
  const dispatch = async (event: WebhookEvent): Promise<void> => {
    for (const { names, handle } of [...handlers]) {
      if (names.has(event.type) || names.has('*')) await handle(event);
    }
  };

  return {
    /**
     * Registers a handler for one kind of event, several, or all (`*`). Answers what takes it away
     * again.
     */
    on: <Name extends WebhookEventName>(
      name: Name | Name[] | '*',
      handle: WebhookHandler<Name>,
    ): (() => void) => {
      const entry = { names: new Set<string>([name].flat()), handle: handle as AnyHandler };
      handlers.add(entry);
      return () => {
        handlers.delete(entry);
      };
    },

    /**
     * Takes a delivery: verifies it, calls the handlers one after another and answers its event.
     * When it rejects, answer with a status of 400 or more and the server sends the event again.
     */
    receive: async (request: Request): Promise<WebhookEvent> => {
      const body = await read(request);
      const signature = request.headers.get(SIGNATURE_HEADER);
      const event = verifyWebhook({ body, signature, secret: secrets });
      await dispatch(event);
      return event;
    },

    /** Verifies a delivery that is not a `Request`, without calling handlers. */
    verify: (body: string | Uint8Array, signature: string | null | undefined): WebhookEvent =>
      verifyWebhook({ body, signature, secret: secrets }),
  };
};

/** The body of a request, unless it is too long. */
async function read(request: Request): Promise<Uint8Array> {
  if (request.bodyUsed) {
    throw new InvalidOptionsError('The body was read already; give it to verify() unparsed');
  }
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = request.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) return Buffer.concat(pieces, length);
    pieces.push(value);
    length += value.length;
    if (length > BODY_BYTES_MAX) {
      await reader?.cancel();
      throw new MesaWebhookVerificationError('body_too_large', 'The body is too long for an event');
    }
  }
}
