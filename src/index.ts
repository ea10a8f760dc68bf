// Broker
export { RedisBroker } from './broker.ts';
export { RedisRouter } from './registrar.ts';
export type { Subscriber } from './subscriber.ts';
export type { Client } from './client.ts';
export type { BrokerStats, Health, SubscriberHealth, SubscriberInfo } from './health.ts';
export type { Publisher } from './publisher.ts';
export type { PipelineOptions, PublishPipeline } from './publish-pipeline.ts';
export type { ConsumedMessage, Consumer } from './consumer.ts';

// Application
export { createApp, type App, type AppOptions, type RunOptions } from './app.ts';

// Decorators
export { publisher, subscriber, type HandlerDecorator } from './decorators/subscriber.ts';
export { fromType } from './decorators/from-type.ts';

// Contracts
export { event, rpc } from './contract.ts';
export type {
  Contract,
  ContractAddress,
  EventContract,
  RpcContract,
  RpcDefinition,
} from './contract.ts';

// What a handler receives and answers
export type { MessageContext } from './handle/context.ts';
export type { Message, MessageSource } from './message/message.ts';
export { RedisResponse, Response } from './message/response.ts';
export type { RedisResponseOptions, ResponseOptions } from './message/response.ts';

// Middleware and filters
export type { ConsumeMiddleware, Middleware } from './handle/middleware.ts';
export { onError, type ErrorClass, type ErrorHandler } from './handle/error-handlers.ts';
export type { Dependency, ValueOf } from './handle/context.ts';
export type { InjectedBy, Injections } from './handle/inject.ts';
// As a whole, or the interface could not be added to by `declare module 'redstart'`.
export * from './handle/state.ts';
export type { PublishCommand, PublishMiddleware } from './publish/command.ts';
export type { Filter } from './handle/pipeline.ts';

// Options
export type {
  BrokerOptions,
  ChannelSubscription,
  ConsumerAddress,
  ErrorPolicy,
  ListSubscription,
  PublisherOptions,
  RpcDefaults,
  SharedOptions,
  StreamSubscription,
  SubscriberAddress,
  SubscriberOptions,
} from './options.ts';
export type { AckPolicy } from './handle/acknowledge.ts';
export type { DeadLetter, DeadLetterBox } from './dead-letters.ts';
export type {
  ClaimOptions,
  DeadLetterAddress,
  DeliveryOptions,
  RetryOptions,
} from './delivery-options.ts';
export type {
  CallOptions,
  ChannelDestination,
  Destination,
  Gathered,
  GatherOptions,
  ListDestination,
  MessageOptions,
  Publishing,
  ReplyDestination,
  RpcOptions,
  SendOptions,
  StreamDestination,
  StreamOptions,
} from './publish/publishing.ts';
export type { ClusterConnection } from './redis/cluster.ts';
export type { RedisConnection } from './redis/connections.ts';
export type { Logger } from './internal/logger.ts';

// Bodies, headers and frames
export { defaultCodec, type Codec, type EncodedBody } from './message/codec.ts';
export { binaryFormat, type MessageFormat } from './message/format.ts';
export type { Headers, HeadersInput } from './message/headers.ts';
export type { Schema } from './message/schema.ts';

// Errors
export {
  AppError,
  BrokerClosedError,
  CancelledError,
  ConnectionError,
  DecodeError,
  EncodeError,
  InvalidMessageError,
  NoMatchingHandlerError,
  NoReplyError,
  NoRespondersError,
  OverloadedError,
  PipelineError,
  RedstartError,
  RemoteError,
  RpcError,
  RpcTimeoutError,
  SendError,
  SetupError,
  StreamBrokenError,
  type MessageIssue,
} from './errors.ts';
