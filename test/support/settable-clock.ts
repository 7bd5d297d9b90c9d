import { FakeClock } from 'nestjs-websocket-isolation/testing';

/** A clock whose wall time can be set. Timers do not notice that, nor a sleep of the process. */
export class SettableClock extends FakeClock {
  setByMs = 0;

  override epoch(): number {
    return super.epoch() + this.setByMs;
  }
}
