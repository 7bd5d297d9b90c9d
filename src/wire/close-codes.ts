/**
 * The WebSocket close codes this library uses. 1xxx are the protocol's own (RFC 6455); 44xx mirror
 * the HTTP status of the same meaning; 444x say why a running connection had to go.
 */
export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  ABNORMAL: 1006,
  POLICY_VIOLATION: 1008,
  TOO_BIG: 1009,
  SERVER_ERROR: 1011,
  OVERLOADED: 1013,
  UNAUTHORIZED: 4401,
  FORBIDDEN: 4403,
  HANDSHAKE_TIMEOUT: 4408,
  REPLACED: 4409,
  TOO_MANY_CONNECTIONS: 4429,
  RATE_LIMITED: 4430,
  IDLE: 4440,
  SLOW_CONSUMER: 4441,
  LEASE_LOST: 4442,
  UNRESPONSIVE: 4443,
} as const;

/** Who began to close: the peer, our program, the network, cleanup, or the end of the process. */
export type CloseInitiator = 'client' | 'server' | 'network' | 'cleanup' | 'shutdown';

/** Why a connection ended. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
  readonly initiator: CloseInitiator;
}

/** What `ws` says by itself to a peer that breaks the protocol, or sends what is not UTF-8 or cannot be inflated. */
const PROTOCOL_ERROR = 1002;
const INVALID_DATA = 1007;

const SOCKET_ERROR_CODES: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: INVALID_DATA,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CloseCode.POLICY_VIOLATION,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CloseCode.TOO_BIG,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CloseCode.TOO_BIG,
};

/** The code with which `ws` closes after an error of its own; 1006 when the line is broken. */
export function codeOfSocketError(error: unknown): number {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== 'string') return CloseCode.ABNORMAL;
  if (code.startsWith('WS_ERR_')) return SOCKET_ERROR_CODES[code] ?? PROTOCOL_ERROR;
  // zlib could not inflate what the peer has sent.
  return code.startsWith('Z_') ? INVALID_DATA : CloseCode.ABNORMAL;
}

/** A close frame holds 125 bytes, two of them the code (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123;

/** A close reason that fits its frame: cut at a character border, never inside one. */
export function fitReason(given: unknown): string {
  // Anything but a text would reach the wire as the bytes it is made of, and half a surrogate pair as U+FFFD.
  const reason = String(given).toWellFormed();
  if (reason.length <= MAX_REASON_BYTES / 3 || Buffer.byteLength(reason) <= MAX_REASON_BYTES) {
    return reason;
  }
  let bytes = 0;
  let fitted = '';
  for (const character of reason) {
    bytes += Buffer.byteLength(character);
    if (bytes > MAX_REASON_BYTES) break;
    fitted += character;
  }
  return fitted;
}

/**
 * @throws {RangeError} for a code that may not be put into a close frame; `ws` would throw too, but in the middle of the end
 */
export function assertSendable(code: unknown): void {
  if (isSendableCode(code)) return;
  throw new RangeError(
    `Expected a close code from 1000 to 1014 or 3000 to 4999, as a number, got ${shown(code)}.`,
  );
}

/** Codes that a program may put into a close frame. */
export function isSendableCode(code: unknown): code is number {
  // `'4001' >= 3000` is true as well.
  if (!Number.isInteger(code)) return false;
  const number = code as number;
  return (
    (number >= 1000 && number <= 1014 && number !== 1004 && number !== 1005 && number !== 1006) ||
    (number >= 3000 && number <= 4999)
  );
}

function shown(value: unknown): string {
  return typeof value === 'string'
    ? `the text '${value.slice(0, 64)}'`
    : String(value).slice(0, 64);
}
