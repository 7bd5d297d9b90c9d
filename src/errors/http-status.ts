import { HttpException } from '@nestjs/common';

/** The status of a Nest `HttpException`; `undefined` for any other error. Never throws, whatever the error is. */
export function httpStatusOf(error: unknown): number | undefined {
  try {
    if (error instanceof HttpException) return error.getStatus();
    // An exception from another copy of Nest is not an instance of this `HttpException`. Its status counts all the same.
    const { getStatus } = (error ?? {}) as { getStatus?: () => unknown };
    const status = typeof getStatus === 'function' ? getStatus.call(error) : undefined;
    return typeof status === 'number' ? status : undefined;
  } catch {
    return undefined;
  }
}

/** Whether an error has a 4xx status: the request of the client was wrong, and the app has no fault. */
export function isClientFault(error: unknown): boolean {
  const status = httpStatusOf(error) ?? 0;
  return status >= 400 && status < 500;
}
