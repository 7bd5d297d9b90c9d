import { ConfigurableModuleBuilder } from '@nestjs/common';

import type { WebSocketIsolationOptions } from '../config/isolation.options.js';

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN: GIVEN_OPTIONS } =
  new ConfigurableModuleBuilder<WebSocketIsolationOptions>({ moduleName: 'WebSocketIsolation' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createWebSocketIsolationOptions')
    .setExtras({}, (definition) => ({ ...definition, global: true }))
    .build();
