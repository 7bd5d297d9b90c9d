import { Logger, type LogLevel } from '@nestjs/common';

interface LoggerState {
  readonly logLevels?: readonly LogLevel[];
  readonly staticInstanceRef?: { isLevelEnabled?(level: LogLevel): boolean };
}

/**
 * Whether the app's logger takes lines of a level. The first Nest 12 says no to every level where the app has set
 * none, which means all of them.
 */
export function isLevelEnabled(level: LogLevel): boolean {
  if (Logger.isLevelEnabled(level)) return true;
  const { logLevels, staticInstanceRef } = Logger as unknown as LoggerState;
  if (logLevels || !staticInstanceRef) return false;
  return staticInstanceRef.isLevelEnabled?.(level) ?? true;
}
