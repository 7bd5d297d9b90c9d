import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
} from '@nestjs/common';
import { WsException } from '@nestjs/websockets';
import { type Observable, tap } from 'rxjs';

import type { EchoBody } from './echo.js';

// A minimal guard, pipe and interceptor that each do some work.

@Injectable()
export class TextGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToWs().getData<EchoBody>().text.length > 0;
  }
}

@Injectable()
export class TextPipe implements PipeTransform<EchoBody> {
  transform(body: EchoBody): EchoBody {
    if (typeof body.text !== 'string') throw new WsException('text must be a string');
    return body;
  }
}

@Injectable()
export class TimingInterceptor implements NestInterceptor {
  totalMs = 0;

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const startedAt = performance.now();
    return next.handle().pipe(
      tap(() => {
        this.totalMs += performance.now() - startedAt;
      }),
    );
  }
}
