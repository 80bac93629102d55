import { AbortedError, ClientClosedError, type MesaError, TimeoutError } from '../errors/index.js';

/** What may end a try before its answer. */
export interface Ends {
  /** The caller's. */
  signal: AbortSignal | undefined;
  /** Fires when the client is closed. */
  closed: AbortSignal;
}

/**
 * One signal for one try: the caller's, the client's end and a time. It is not `AbortSignal.any`,
 * because that keeps something on long-lived signals for every call.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #stops: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly what: string,
    private readonly timeoutMs: number,
    ends: Ends,
  ) {
    this.#follow(ends.signal, (signal) => new AbortedError(signal.reason));
    this.#follow(ends.closed, () => new ClientClosedError());
    this.extend();
  }

  /** What `fetch` takes. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it fired, or undefined. */
  get reason(): MesaError | undefined {
    return this.signal.aborted ? this.signal.reason : undefined;
  }

  /** The whole time again: something came. */
  extend(): void {
    clearTimeout(this.#timer);
    if (this.timeoutMs === Number.POSITIVE_INFINITY) return;
    const end = () => this.#controller.abort(new TimeoutError(this.what, this.timeoutMs));
    this.#timer = setTimeout(end, this.timeoutMs);
  }

  /** No time runs until it is extended: nobody waits for the server. */
  rest(): void {
    clearTimeout(this.#timer);
  }

  /** Forgets the signals and the time. */
  release(): void {
    clearTimeout(this.#timer);
    for (const stop of this.#stops) stop();
    this.#stops.length = 0;
  }

  #follow(signal: AbortSignal | undefined, reason: (signal: AbortSignal) => MesaError): void {
    if (!signal) return;
    const fire = () => this.#controller.abort(reason(signal));
    if (signal.aborted) {
      fire();
      return;
    }
    signal.addEventListener('abort', fire, { once: true });
    this.#stops.push(() => signal.removeEventListener('abort', fire));
  }
}

/** Throws what a call that is over is answered with. */
export function throwIfOver({ signal, closed }: Ends): void {
  if (closed.aborted) throw new ClientClosedError();
  if (signal?.aborted) throw new AbortedError(signal.reason);
}

/** Waits for something that others wait for too, or until the call is over. */
export async function orOver<T>(shared: Promise<T>, ends: Ends): Promise<T> {
  throwIfOver(ends);
  let stop = () => {};
  const over = new Promise<never>((_, reject) => {
    const fire = () => {
      try {
        throwIfOver(ends);
      } catch (error) {
        reject(error);
      }
    };
    ends.signal?.addEventListener('abort', fire);
    ends.closed.addEventListener('abort', fire);
    stop = () => {
      ends.signal?.removeEventListener('abort', fire);
      ends.closed.removeEventListener('abort', fire);
    };
  });
  try {
    return await Promise.race([shared, over]);
  } finally {
    stop();
  }
}

/** Waits this long, or until the call is over. */
export async function pause(ms: number, ends: Ends): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await orOver(passed, ends);
  } finally {
    clearTimeout(timer);
  }
}
