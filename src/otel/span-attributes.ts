import type { IncomingMessage } from 'node:http';

import type { Attributes } from '@opentelemetry/api';

import type { DeliveryTarget } from '../cluster/cluster-delivery.js';

/**
 * The request by OpenTelemetry's conventions for HTTP servers. Without its query, which may have a token in it.
 *
 * @param path of the gateway, with the names of its parameters
 */
export function httpAttributes(
  request: IncomingMessage,
  path: string,
  address?: string,
): Attributes {
  const { method, url = '', httpVersion, socket } = request;
  return {
    'http.request.method': method ?? 'GET',
    'http.route': path,
    'url.path': url.split('?', 1)[0]!,
    'url.scheme': 'encrypted' in socket ? 'https' : 'http',
    'network.protocol.name': 'http',
    'network.protocol.version': httpVersion,
    ...(address !== undefined && { 'client.address': address }),
  };
}

/** What kind of audience a message goes to, and who that is. An app may name its topics after users. */
export function audienceAttributes(target: DeliveryTarget, includeIdentity = false): Attributes {
  const kind = 'ws_isolation.audience';
  if ('all' in target) return { [kind]: 'all' };
  if ('connectionId' in target) {
    return { [kind]: 'connection', 'ws_isolation.connection.id': target.connectionId };
  }
  if ('topic' in target) {
    return { [kind]: 'topic', ...(includeIdentity && { 'ws_isolation.topic': target.topic }) };
  }
  const { userId, threadId } = target;
  if (threadId === undefined)
    return { [kind]: 'user', ...(includeIdentity && { 'user.id': userId }) };
  const identity = { 'user.id': userId, 'ws_isolation.thread.id': threadId };
  return { [kind]: 'thread', ...(includeIdentity && identity) };
}
