import { Injectable, Scope } from '@nestjs/common';

/** The payload that goes to and fro. */
export class EchoBody {
  text!: string;
}

/** The one REQUEST-scoped service of the gateways that have an instance per connection. */
@Injectable({ scope: Scope.REQUEST })
export class Session {
  messages = 0;
  isOpen = false;

  open(): void {
    this.isOpen = true;
  }

  /** Called at the end of a connection by ours; Nest's own scopes are never disposed of. */
  [Symbol.dispose](): void {
    this.isOpen = false;
  }
}
