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
 * Who may see the dashboard: everybody, because it is a demo; with `DEMO_DASHBOARD_PASSWORD` set, whoever
 * knows it. A real application asks its own sessions or tokens.
 */
@Injectable()
export class DashboardGuard implements CanActivate {
  readonly #password = process.env['DEMO_DASHBOARD_PASSWORD'];

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<DemoRequest>();
    const [name = '', password = ''] = credentialsOf(request);
    request.user = { name: name || 'somebody' };
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

// Digests are of equal length, and comparing them takes a time that tells nothing.
function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
