import type { Position } from '../history/position.js';
import type { TopicLeaveCause } from '../journal/isolation-events.js';
import type { JoinOptions } from '../manager/topic-member.js';
import type { WhenPlaced } from './topic-histories.js';

/** How a connection joins: beyond what server code may choose. */
export interface Joining extends JoinOptions {
  /** The last position of the client in this topic. */
  readonly position?: Position | undefined;
  /** Epoch milliseconds at which the membership ends. */
  readonly expiresAtMs?: number | undefined;
  /** The authorizer has granted it, and has to be asked again after a renewal of the identity. */
  readonly isGranted?: boolean;
  /** Called where topics have a history, and once: when it is known at which position the connection begins. */
  readonly placed?: WhenPlaced | undefined;
}

/** Why a membership ended that the client has not given up itself. */
export type TopicRemoval = Extract<TopicLeaveCause, 'expired' | 'removed' | 'forbidden'>;
