import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { AuthorizerQuestions } from './authorizer-questions.js';
import type { Topic } from './topic.js';
import type { Topics } from './topics.service.js';

/**
 * Asks the authorizer again for the topics that a client has subscribed to, because the identity of the connection has
 * other metadata now. Topics that code of the server has joined are left alone.
 */
export class TopicReviews {
  constructor(
    private readonly topics: Topics,
    private readonly questions: AuthorizerQuestions,
  ) {}

  /** Until the authorizer has answered, at most for `handshake.timeoutMs`, the connection stays a member. */
  review(manager: WebSocketManager): void {
    for (const topic of this.topics.grantedTo(manager)) void this.#review(manager, topic);
  }

  async #review(manager: WebSocketManager, topic: Topic): Promise<void> {
    const { topic: name } = topic;
    const { metadata } = manager;
    const granted = topic.detailsOf(manager)?.grant;
    const grant = await this.questions.ask(manager, name);
    // The connection may have left, or have a newer grant of its own; a later renewal has its own review.
    if (!granted || topic.detailsOf(manager)?.grant !== granted) return;
    if (manager.metadata !== metadata) return;
    if (!grant) return void this.topics.remove(manager, name, 'forbidden');
    try {
      await this.topics.join(manager, name, { ...grant, isGranted: true });
    } catch (error) {
      this.questions.failed(manager, error);
      this.topics.remove(manager, name, 'forbidden');
    }
  }
}
