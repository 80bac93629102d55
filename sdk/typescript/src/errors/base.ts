/** The root of every error this package throws: `instanceof MesaError` catches them all. */
export class MesaError extends Error {
  /** What went wrong, for programs: upper-case words joined by `_`. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  static {
    // On the prototype: an own property would be shown beside the stack of every error.
    named(MesaError, 'MesaError');
  }
}

/** Gives a class of errors its name, which minifiers would otherwise change. */
export function named(type: { prototype: Error }, name: string): void {
  Object.defineProperty(type.prototype, 'name', {
    value: name,
    configurable: true,
    writable: true,
  });
}
