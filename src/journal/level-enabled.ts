import { Logger, type LogLevel } from '@nestjs/common';

interface LoggerState {
  readonly logLevels?: readonly LogLevel[];
  readonly staticInstanceRef?: { isLevelEnabled?(level: LogLevel): boolean };
}

/**
 * Whether the app's logger writes lines of a level. The first Nest 12 returns false for every level where the app has
 * set no levels, although that means all of them.
 */
export function isLevelEnabled(level: LogLevel): boolean {
  if (Logger.isLevelEnabled(level)) return true;
  const { logLevels, staticInstanceRef } = Logger as unknown as LoggerState;
  if (logLevels || !staticInstanceRef) return false;
  return staticInstanceRef.isLevelEnabled?.(level) ?? true;
}
