import { createHash, timingSafeEqual } from 'node:crypto';

import {
  type CanActivate,
  type ExecutionContext,
  Injectable,
  UnauthorizedException,
} from '@nestjs/common';

interface DemoRequest {
  readonly headers: { readonly authorization?: string };
  user?: { readonly name: string };
}

/**
 * Admits every visitor to the dashboard, because this is a demo. With `DEMO_DASHBOARD_PASSWORD` set, it admits only
 * visitors who send that password. A real application checks its own sessions or tokens.
 */
@Injectable()
export class DashboardGuard implements CanActivate {
  readonly #password = process.env['DEMO_DASHBOARD_PASSWORD'];

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<DemoRequest>();
    const [name = '', password = ''] = credentialsOf(request);
    request.user = { name: name || 'anonymous' };
    if (this.#password === undefined || isSame(password, this.#password)) return true;
    const response = http.getResponse<{ header(name: string, value: string): void }>();
    response.header('WWW-Authenticate', 'Basic realm="dashboard"');
    throw new UnauthorizedException();
  }
}

function credentialsOf({ headers: { authorization = '' } }: DemoRequest): string[] {
  const [, encoded = ''] = /^Basic (\S+)$/.exec(authorization) ?? [];
  const [name = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':');
  return [name, rest.join(':')];
}

// Compares digests: they have equal lengths, and the time of the comparison reveals nothing about the password.
function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
