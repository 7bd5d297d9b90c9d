import { Inject, Injectable, Optional } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';

import { IsolationError } from '../errors/isolation-error.js';
import { assertAddressesFit } from '../upgrade/gateway-addresses.js';
import { IsolatedWsAdapter } from '../upgrade/isolated-ws.adapter.js';
import { NestInternals, type NestModule } from '../nest/nest-internals.js';
import { twoCopiesOfCore } from './core-copies.js';
import { LifeCycleModule } from './life-cycle.js';
import { GIVEN_OPTIONS } from './module-definition.js';

/**
 * Checks and prepares the application around this library. Made before all other providers: it refuses an application
 * that this library cannot work in, and makes the settings that are needed before gateways are registered.
 */
@Injectable()
export class NestHost {
  readonly #internals: NestInternals;

  /**
   * Returns the internals of the host's application.
   *
   * @throws {IsolationError} when the app has put a proxy around the host, and so around every instance made later
   */
  static internalsOf(this: void, host: NestHost): NestInternals {
    if (!(#internals in host)) throw proxiedInstance();
    return host.#internals;
  }

  /** @throws {IsolationError} that names the fault of the application and the fix */
  constructor(
    @Optional() @Inject(ModuleRef) moduleRef: ModuleRef | undefined,
    @Optional() @Inject(HttpAdapterHost) httpAdapterHost: HttpAdapterHost | undefined,
  ) {
    if (!moduleRef || !httpAdapterHost) throw twoCopiesOfCore();
    const internals = new NestInternals(moduleRef);
    this.#internals = internals;
    const missing = internals.missingFeatures();
    if (missing.length > 0) throw unsupportedNest(missing);
    const modules = [...internals.modules()];
    const own = modules.filter(isOurs);
    if (own.length > 1) throw importedTwice(importersOf(internals, modules, own));
    assertAddressesFit(internals);
    keepOneSchedule(internals, modules, own);
    internals.putLast(LifeCycleModule);
    installAdapter(internals, httpAdapterHost);
  }
}

// Whether it is the module with options. A plain import of the class in another module is harmless.
function isOurs({ providers }: NestModule): boolean {
  return providers.has(NestHost) && providers.has(GIVEN_OPTIONS);
}

// `@nestjs/schedule` starts the jobs of the whole application once per import of its module. If the app imports it,
// each job would run twice. So the import of this library is removed, and the app's import starts this library's jobs
// too.
function keepOneSchedule(
  internals: NestInternals,
  modules: readonly NestModule[],
  own: readonly NestModule[],
): void {
  const schedules = modules.filter(({ metatype }) => metatype === ScheduleModule);
  // Nest adds every global module to the imports of all modules, so the schedule module of the app is among ours too.
  // Only the one that this library imports is not global.
  const ours = schedules.filter(
    (schedule) => !schedule.isGlobal && own.some(({ imports }) => imports.has(schedule)),
  );
  if (schedules.length > ours.length) ours.forEach((schedule) => internals.removeModule(schedule));
}

function installAdapter(internals: NestInternals, host: HttpAdapterHost): void {
  if (internals.config.getIoAdapter() !== null && internals.config.getIoAdapter() !== undefined) {
    return;
  }
  const adapter = new IsolatedWsAdapter();
  // While providers are made there is no HTTP server yet.
  adapter.useHttpServer(() => host.httpAdapter?.getHttpServer() as unknown);
  internals.config.setIoAdapter(adapter);
}

function unsupportedNest(missing: readonly string[]): IsolationError {
  return new IsolationError(
    'UNSUPPORTED_NEST',
    `This version of Nest lacks what nestjs-websocket-isolation needs: ${missing.join(', ')}. ` +
      'Install a version of Nest that the compatibility table of the documentation lists.',
  );
}

function proxiedInstance(): IsolationError {
  return new IsolationError(
    'PROXIED_INSTANCE',
    'The option `instrument.instanceDecorator` of NestFactory.create() has put a proxy around a provider of ' +
      'nestjs-websocket-isolation, which keeps its state in private fields that no proxy can read. ' +
      'Put proxies around the classes of your app alone, and return every other instance as it is.',
  );
}

// The modules that call `forRoot()` or `forRootAsync()` in their imports.
function importersOf(
  internals: NestInternals,
  modules: readonly NestModule[],
  own: readonly NestModule[],
): string[] {
  const [{ metatype } = { metatype: undefined }] = own;
  const isWithOptions = (imported: unknown): boolean =>
    (imported as { module?: unknown } | undefined)?.module === metatype;
  return modules
    .filter((module) => internals.declaredImports(module).some(isWithOptions))
    .map(({ name }) => name);
}

function importedTwice(importers: readonly string[]): IsolationError {
  const [last, ...others] = importers.toReversed();
  const names = others.length === 0 ? last : `${others.toReversed().join(', ')} and ${last}`;
  const where = names === undefined ? 'twice' : `more than once, in ${names},`;
  return new IsolationError(
    'IMPORTED_TWICE',
    `WebSocketIsolationModule is imported ${where} with options. ` +
      'Write WebSocketIsolationModule.forRoot() once, in the root module; it is global.',
  );
}
