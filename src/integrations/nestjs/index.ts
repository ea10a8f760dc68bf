// The entry `redstart/nestjs`. @nestjs/common and @nestjs/core are optional peers.
export { RedstartModule } from './module.ts';
export type {
  ModuleOptions,
  RedstartAsyncOptions,
  RedstartBrokerOptions,
  RedstartModuleOptions,
} from './module.ts';
export { InjectBroker, UseBroker, getBrokerToken } from './tokens.ts';
export { clientOf } from './client.ts';
export { Ctx, Header, Payload, Subscribe, type Pipe } from './parameters.ts';
export { getMessageContext, isRedstartContext } from './enhancers.ts';
export { RpcErrorFilter, nestErrors, toHttpException, toRpcError } from './errors.ts';
export { RedstartHealthIndicator, type HealthOptions, type RedstartHealth } from './health.ts';
export { nestLogger } from './logger.ts';
export { nestClient, nestFormat, type NestClient } from './bridge.ts';
