import { type ApplicationConfig, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';

import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  type InstanceWrapper,
  PIPES_METADATA,
} from './nest-internals.js';

/** Where Nest keeps one kind of enhancer, and the method by which it is recognised. */
export interface EnhancerKind {
  readonly name: 'guard' | 'interceptor' | 'pipe' | 'filter';
  readonly metadata: string;
  readonly method: string;
  /** Token of the global enhancers; none for filters, which are never global for gateways in Nest. */
  readonly token?: string;
  readonly global?: (config: ApplicationConfig) => readonly unknown[];
  /** Global enhancers that were declared with a scope. */
  readonly scoped?: (config: ApplicationConfig) => readonly InstanceWrapper[];
}

export const GUARD: EnhancerKind = {
  name: 'guard',
  metadata: GUARDS_METADATA,
  method: 'canActivate',
  token: APP_GUARD,
  global: (config) => config.getGlobalGuards(),
  scoped: (config) => config.getGlobalRequestGuards(),
};
export const INTERCEPTOR: EnhancerKind = {
  name: 'interceptor',
  metadata: INTERCEPTORS_METADATA,
  method: 'intercept',
  token: APP_INTERCEPTOR,
  global: (config) => config.getGlobalInterceptors(),
  scoped: (config) => config.getGlobalRequestInterceptors(),
};
export const PIPE: EnhancerKind = {
  name: 'pipe',
  metadata: PIPES_METADATA,
  method: 'transform',
  token: APP_PIPE,
  global: (config) => config.getGlobalPipes(),
  scoped: (config) => config.getGlobalRequestPipes(),
};
export const FILTER: EnhancerKind = {
  name: 'filter',
  metadata: EXCEPTION_FILTERS_METADATA,
  method: 'catch',
};
