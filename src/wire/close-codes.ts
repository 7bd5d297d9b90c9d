/**
 * The WebSocket close codes this library uses. 1xxx are defined by the protocol (RFC 6455); 44xx mirror the HTTP status
 * of the same meaning; 444x are reasons for which the server ends an open connection.
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

/** Who began to close: the peer, code of this server, the network, cleanup, or the shutdown of the process. */
export type CloseInitiator = 'client' | 'server' | 'network' | 'cleanup' | 'shutdown';

/** Why a connection ended. */
export interface CloseReason {
  readonly code: number;
  readonly reason: string;
  readonly initiator: CloseInitiator;
}

/**
 * Codes with which `ws` closes by itself: 1002 when the peer breaks the protocol, 1007 when its data is not UTF-8 or
 * cannot be inflated.
 */
const PROTOCOL_ERROR = 1002;
const INVALID_DATA = 1007;

const SOCKET_ERROR_CODES: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: INVALID_DATA,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: CloseCode.POLICY_VIOLATION,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: CloseCode.TOO_BIG,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: CloseCode.TOO_BIG,
};

/** The code with which `ws` closes after an error of its own; 1006 when the network connection is broken. */
export function codeOfSocketError(error: unknown): number {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== 'string') return CloseCode.ABNORMAL;
  if (code.startsWith('WS_ERR_')) return SOCKET_ERROR_CODES[code] ?? PROTOCOL_ERROR;
  // zlib could not inflate the data of the peer.
  return code.startsWith('Z_') ? INVALID_DATA : CloseCode.ABNORMAL;
}

/** A close frame holds 125 bytes; two of them are the code (RFC 6455, section 5.5). */
const MAX_REASON_BYTES = 123;

/** A close reason that fits into a close frame: cut between two characters, never inside one. */
export function fitReason(given: unknown): string {
  // A value that is not a string would be sent as its raw bytes, and a lone surrogate as U+FFFD.
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
 * @throws {RangeError} for a code that a close frame must not carry; `ws` would throw too, but in the middle of closing
 */
export function assertSendable(code: unknown): void {
  if (isSendableCode(code)) return;
  throw new RangeError(
    `Expected a close code from 1000 to 1014 or 3000 to 4999, as a number, got ${shown(code)}.`,
  );
}

/** Whether a program may put a code into a close frame. */
export function isSendableCode(code: unknown): code is number {
  // Refuses strings: `'4001' >= 3000` is true as well.
  if (!Number.isInteger(code)) return false;
  const number = code as number;
  return (
    (number >= 1000 && number <= 1014 && number !== 1004 && number !== 1005 && number !== 1006) ||
    (number >= 3000 && number <= 4999)
  );
}

function shown(value: unknown): string {
  return typeof value === 'string'
    ? `the string '${value.slice(0, 64)}'`
    : String(value).slice(0, 64);
}
