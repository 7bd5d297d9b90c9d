import type {
  INestApplication,
  INestApplicationContext,
  INestMicroservice,
  LoggerService,
  ModuleMetadata,
  Type,
} from '@nestjs/common';

import type { Session } from './session.js';

/**
 * How a scenario is run: on Nest's own adapter; as a plain gateway beside an isolated one; isolated; and
 * isolated with an instance per connection. The first is what the others are compared with.
 */
export const forms = ['stock', 'plain', 'isolated', 'scoped'] as const;
export type Form = (typeof forms)[number];

/** What `@WebSocketGateway` takes. */
export type GatewayDecorator = (
  portOrOptions?: number | Readonly<Record<string, unknown>>,
  options?: Readonly<Record<string, unknown>>,
) => ClassDecorator;

/** What a scenario's app is made with. */
export interface Setting {
  readonly form: Form;
  /** The decorator of this form: the only thing in which the apps of a scenario differ. */
  readonly gateway: GatewayDecorator;
  /** Writes down what happens in the server. */
  readonly note: (line: string) => void;
}

/** A running app, however it was started. */
export interface RunningApp {
  /** Where clients connect: `ws://host:port`. */
  readonly url: string;
  readonly nest: INestApplicationContext;
  /** Closes it, once. */
  close(): Promise<void>;
}

/** What starts an app with everything that its form needs. */
export interface StartKit extends Setting {
  readonly logger: LoggerService;
  /** Sets the WebSocket adapter of the form, where it has to be set. */
  useAdapter(app: INestApplication | INestMicroservice): void;
}

/** One gateway and one client's script, run in every form. */
export interface Scenario {
  readonly title: string;
  /** The app, apart from what its form needs. */
  app(setting: Setting): ModuleMetadata;
  /** Before each form: finds a free port, say. */
  readonly before?: () => Promise<void>;
  /** What clients do. What they see is written down by itself. */
  script(session: Session, app: RunningApp): Promise<void>;
  /** What `main.ts` does before it listens. */
  readonly prepare?: (app: INestApplication, setting: Setting) => void | Promise<void>;
  /** Starts the app; by default on Express and a free port. */
  readonly start?: (root: Type, kit: StartKit) => Promise<RunningApp>;
  /** The script is meant to fail on stock: the app does not start, say. */
  readonly failsOnStock?: boolean;
  /** Forms to leave out, where they make no sense. */
  readonly without?: readonly Form[];
}
