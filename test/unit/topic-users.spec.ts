import { describe, expect, it } from '@jest/globals';

import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { membersOf } from '../../src/topics/member-list.js';
import { Topic } from '../../src/topics/topic.js';

/** The part of a manager that topics read. Counts how often. */
class Member {
  reads = 0;

  constructor(private readonly userId: string) {}

  get context(): { userId: string } {
    this.reads += 1;
    return { userId: this.userId };
  }

  get manager(): WebSocketManager {
    return this as unknown as WebSocketManager;
  }
}

describe('the users of a topic', () => {
  it('are found without a look at the other members', () => {
    const topic = new Topic('tea', true);
    const members = Array.from({ length: 1_000 }, (_, index) => new Member(`user-${index}`));
    for (const { manager } of members) topic.add(manager);
    const readsBefore = members.map(({ reads }) => reads);
    const [only] = membersOf(topic, new Set(['user-7', 'nobody']));
    expect(only).toEqual({ userId: 'user-7', connections: 1 });
    const looked = members.filter(({ reads }, index) => reads > readsBefore[index]!);
    expect(looked).toEqual([members[7]]);
  });

  it('show what the connection that joined last, or told it last, says of itself', () => {
    const topic = new Topic('tea', true);
    const [first, second, third] = ['ada', 'ada', 'ada'].map((id) => new Member(id).manager);
    const ada = (): unknown[] => membersOf(topic, new Set(['ada']));
    expect(topic.add(first!)).toBe(true);
    topic.setPresence(first!, 1);
    expect(topic.add(second!)).toBe(false);
    topic.setPresence(second!, 2);
    topic.add(third!);
    expect(ada()).toEqual([{ userId: 'ada', connections: 3, presence: 2 }]);
    topic.setPresence(first!, 3);
    expect(ada()).toEqual([{ userId: 'ada', connections: 3, presence: 3 }]);
    expect(topic.remove(first!)).toBe(false);
    expect(ada()).toEqual([{ userId: 'ada', connections: 2, presence: 2 }]);
    expect(topic.remove(second!)).toBe(false);
    expect(topic.remove(third!)).toBe(true);
    expect([ada(), topic.users!.size]).toEqual([[], 0]);
  });
});
