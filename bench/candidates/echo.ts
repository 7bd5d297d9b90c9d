import { Injectable, Scope } from '@nestjs/common';

/** The payload of an echo, in both directions. */
export class EchoBody {
  text!: string;
}

/** The REQUEST-scoped service of the gateways that have an instance per connection. */
@Injectable({ scope: Scope.REQUEST })
export class Session {
  messages = 0;
  isOpen = false;

  open(): void {
    this.isOpen = true;
  }

  /** The library calls this when a connection ends. Nest never disposes of its own scopes. */
  [Symbol.dispose](): void {
    this.isOpen = false;
  }
}
