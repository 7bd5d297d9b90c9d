import { BadRequestException, Body, Controller, Post } from '@nestjs/common';

import { SignedTokens } from './signed-tokens.js';

/** Signs every visitor in under any name, because this is a demo. */
@Controller('sign-in')
export class SignInController {
  constructor(private readonly tokens: SignedTokens) {}

  @Post()
  signIn(@Body() body: { name?: unknown }): { userId: string; token: string } {
    const name = typeof body?.name === 'string' ? body.name.trim() : '';
    if (name === '' || name.length > 40) {
      throw new BadRequestException('The name must have 1 to 40 characters.');
    }
    return { userId: name, token: this.tokens.issue(name) };
  }
}
