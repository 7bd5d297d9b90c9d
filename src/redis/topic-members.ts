/** What the members of one topic need. */
export interface TopicMembersOwner {
  /** Sends users to Redis, and renews. Resolves to whether Redis has exactly the users of this node. */
  sync(topic: string, changed: ReadonlySet<string> | 'all'): Promise<boolean>;
  failed(error: unknown): void;
  /** No member is left, and Redis knows. */
  done(topic: string, members: TopicMembers): void;
  userCount(topic: string): number;
}

/**
 * The members of one topic on this node, as Redis knows them. One command is under way at a time: users that change
 * meanwhile go with the next one, so that ten thousand joins in a second are a few commands.
 */
export class TopicMembers {
  // The users that Redis does not know yet.
  #changed = new Set<string>();
  #sending: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    private readonly topic: string,
    private readonly owner: TopicMembersOwner,
  ) {}

  /** The connections of a user have changed. Resolves when Redis knows, or did not reply. Never rejects. */
  changed(userId: string): Promise<void> {
    this.#changed.add(userId);
    return this.#sendNext();
  }

  /**
   * Renews the lease, with the users that Redis does not know. A command that is under way renews it as well: with a
   * further one behind it, a process that is slower than its renewals would never be done with the topic.
   */
  renew(): Promise<void> {
    return this.#next ?? this.#sending ?? this.#sendNext();
  }

  /** Resolves when no command is under way. */
  settled(): Promise<void> {
    return this.#next ?? this.#sending ?? Promise.resolve();
  }

  #sendNext(): Promise<void> {
    // In a later turn, so that everything that changes in this one goes together.
    this.#next ??= (this.#sending ?? Promise.resolve()).then(() => {
      this.#next = undefined;
      this.#sending = this.#send().finally(() => {
        this.#sending = undefined;
      });
      return this.#sending;
    });
    return this.#next;
  }

  async #send(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    try {
      const isSame = await this.owner.sync(this.topic, changed);
      // Redis has lost users of this node, or has kept some of an older copy.
      if (!isSame) await this.owner.sync(this.topic, 'all');
    } catch (error) {
      for (const userId of changed) this.#changed.add(userId);
      this.owner.failed(error);
    }
    if (this.#next || this.#changed.size > 0 || this.owner.userCount(this.topic) > 0) return;
    this.owner.done(this.topic, this);
  }
}
