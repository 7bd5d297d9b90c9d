import { IsolationViolationError } from './manager.errors.js';
import type { ManagedSocket } from '../wire/managed-socket.js';
import { piecesOf, reusePieces, shareNoExtensions } from '../wire/ws-internals.js';

const OWNER = Symbol('websocket-isolation:owner');
/** On the prototype of sockets that call {@link passPong} themselves. */
export const PASSES_PONGS: unique symbol = Symbol('websocket-isolation:passes pongs');

/** Receives the events of its socket. */
export interface SocketOwner {
  /** Where `ws` collects every message of the socket; `undefined` once the app has received it as its message. */
  pieces: unknown[] | undefined;
  received(frame: Buffer, isBinary: boolean): void;
  socketClosed(code: number, reason: string): void;
  socketFailed(error: unknown): void;
  ponged(): void;
}

interface OwnedSocket extends ManagedSocket {
  [OWNER]?: SocketOwner | undefined;
  readonly [PASSES_PONGS]?: true;
}

/** The owner that a socket is bound to. */
export function ownerOf(socket: object | undefined): SocketOwner | undefined {
  return (socket as OwnedSocket | undefined)?.[OWNER];
}

/**
 * Binds a socket to an owner: when the socket closes, the owner ends. {@link unbindSocket} removes the binding.
 *
 * @throws {IsolationViolationError} when the socket has an owner already
 */
export function bindSocket(socket: ManagedSocket, owner: SocketOwner): void {
  const owned = socket as OwnedSocket;
  if (owned[OWNER]) throw new IsolationViolationError('This socket belongs to another connection');
  owned[OWNER] = owner;
  owner.pieces = piecesOf(socket);
  // Shared functions that find the owner through `this`: closures for each socket would cost more than the rest of the
  // binding.
  socket.on('message', onMessage);
  socket.on('close', onClose);
  socket.on('error', onError);
  // A fourth kind of event doubles the table of listeners that Node keeps in each socket, by 96 bytes.
  if (!owned[PASSES_PONGS]) socket.on('pong', onPong);
  shareNoExtensions(socket);
}

/** Removes a socket's binding. */
export function unbindSocket(socket: ManagedSocket): void {
  socket.off('message', onMessage);
  socket.off('close', onClose);
  if (!(socket as OwnedSocket)[PASSES_PONGS]) socket.off('pong', onPong);
  // The error listener stays: an error after the end must not become an uncaught exception.
  (socket as OwnedSocket)[OWNER] = undefined;
}

/** Tells the owner of a socket that a pong has arrived. */
export function passPong(socket: object): void {
  (socket as OwnedSocket)[OWNER]?.ponged();
}

function onMessage(this: OwnedSocket, frame: Buffer, isBinary: boolean): void {
  const owner = this[OWNER];
  if (!owner) return;
  // With the `binaryType` "fragments", the message is the array itself.
  if (Array.isArray(frame)) owner.pieces = undefined;
  else if (owner.pieces) reusePieces(this, owner.pieces);
  owner.received(frame, isBinary);
}

function onClose(this: OwnedSocket, code: number, reason: Buffer): void {
  this[OWNER]?.socketClosed(code, reason?.toString() ?? '');
}

function onError(this: OwnedSocket, error: unknown): void {
  this[OWNER]?.socketFailed(error);
}

function onPong(this: OwnedSocket): void {
  passPong(this);
}
