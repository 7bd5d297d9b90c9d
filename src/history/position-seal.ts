import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

const KEY_BYTES = 32;
const KEY = /^[\w-]{43}$/;
/** 72 bits: a client cannot guess a seal, and each guess costs it an upgrade request. */
const SEAL_BYTES = 9;
/** The same as text. */
const SEAL_LENGTH = 12;

/**
 * Seals the epochs of threads, so that a position can be told from an invented one before its client is authenticated. A
 * sealed epoch has been sent to a client of its thread: it is credible, and no more. It never replaces credentials.
 *
 * Every node of a cluster has the same key. Without a cluster, the key lives as long as the histories: in this process.
 */
export class PositionSeal {
  #key = randomBytes(KEY_BYTES);

  /** The key as text, for the nodes of a cluster. */
  get key(): string {
    return this.#key.toString('base64url');
  }

  /** Takes the key of the cluster. Returns false for a text that is no key. */
  share(key: unknown): boolean {
    if (typeof key !== 'string' || !KEY.test(key)) return false;
    this.#key = Buffer.from(key, 'base64url');
    return true;
  }

  /** Appends the seal. */
  sealed(text: string): string {
    return text + this.#sealOf(text);
  }

  /** Whether a text has a seal of this key. */
  isSealed(text: string): boolean {
    const end = text.length - SEAL_LENGTH;
    if (end <= 0) return false;
    const given = Buffer.from(text.slice(end));
    const right = Buffer.from(this.#sealOf(text.slice(0, end)));
    return given.length === right.length && timingSafeEqual(given, right);
  }

  #sealOf(text: string): string {
    const digest = createHmac('sha256', this.#key).update(text).digest();
    return digest.subarray(0, SEAL_BYTES).toString('base64url');
  }
}
