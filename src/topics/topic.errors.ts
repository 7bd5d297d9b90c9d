import { IsolationError } from '../errors/isolation-error.js';

/** A connection is in as many topics as it may be. */
export class TopicLimitError extends IsolationError {
  declare readonly code: 'TOPIC_LIMIT';

  constructor(
    /** Topics that one connection may be in. */
    readonly limit: number,
  ) {
    super(
      'TOPIC_LIMIT',
      `This connection has reached the maximum number of topics (${limit}). ` +
        'Leave one first, or raise topics.maxPerConnection.',
    );
  }
}

/** The name of a topic breaks a rule. */
export class InvalidTopicError extends IsolationError {
  declare readonly code: 'INVALID_TOPIC';

  constructor(rule: string) {
    super('INVALID_TOPIC', `The name of a topic ${rule}. Nothing was joined, left or sent.`);
  }
}
