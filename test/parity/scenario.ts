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
 * The forms in which a scenario runs: on Nest's own adapter, as a plain gateway beside an isolated one, isolated, and
 * isolated with an instance per connection. The other forms are compared with the first one.
 */
export const forms = ['stock', 'plain', 'isolated', 'scoped'] as const;
export type Form = (typeof forms)[number];

/** A gateway decorator with the parameters of `@WebSocketGateway`. */
export type GatewayDecorator = (
  portOrOptions?: number | Readonly<Record<string, unknown>>,
  options?: Readonly<Record<string, unknown>>,
) => ClassDecorator;

/** The input for the app of a scenario. */
export interface Setting {
  readonly form: Form;
  /** The decorator of this form. The apps of a scenario differ only in it. */
  readonly gateway: GatewayDecorator;
  /** Records an event of the server in the transcript. */
  readonly note: (line: string) => void;
}

/** A running app. */
export interface RunningApp {
  /** The base URL for clients: `ws://host:port`. */
  readonly url: string;
  readonly nest: INestApplicationContext;
  /** Closes the app. Later calls return the same promise. */
  close(): Promise<void>;
}

/** The input for starting an app in a form. */
export interface StartKit extends Setting {
  readonly logger: LoggerService;
  /** Sets the WebSocket adapter of the form, if the form needs it. */
  useAdapter(app: INestApplication | INestMicroservice): void;
}

/** An app and a client script that run in every form. */
export interface Scenario {
  readonly title: string;
  /** Returns the metadata of the app, without the parts of the form. */
  app(setting: Setting): ModuleMetadata;
  /** Runs before each form, for example to find a free port. */
  readonly before?: () => Promise<void>;
  /** The actions of the clients. Everything that the clients receive is recorded automatically. */
  script(session: Session, app: RunningApp): Promise<void>;
  /** Configures the app before it listens, like an app's `main.ts`. */
  readonly prepare?: (app: INestApplication, setting: Setting) => void | Promise<void>;
  /** Starts the app. Default: on Express, on a free port. */
  readonly start?: (root: Type, kit: StartKit) => Promise<RunningApp>;
  /** Whether the script is expected to fail on stock, for example because the app does not start. */
  readonly failsOnStock?: boolean;
  /** Forms to skip, because they make no sense for the scenario. */
  readonly without?: readonly Form[];
}
