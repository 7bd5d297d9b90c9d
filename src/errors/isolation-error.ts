/**
 * Base of every error this library throws on purpose.
 *
 * Branch on {@link code}, never on the text: codes are stable, texts may improve.
 */
export class IsolationError extends Error {
  constructor(
    /** Stable identifier, for example `MANAGER_LIMIT`. */
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}
