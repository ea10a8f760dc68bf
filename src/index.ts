// Broker
export { RedisBroker } from './broker/broker.ts';
export { RedisRouter } from './broker/router.ts';
export type { SeekTarget, StreamGroup, StreamGroups } from './broker/stream-groups.ts';
export type { Router } from './broker/router.ts';
export type { SendingBroker } from './broker/sending-broker.ts';
export type { Subscriber } from './broker/subscriber.ts';
export type { BrokerStats, Health, SubscriberHealth } from './broker/health.ts';
export type {
  Fleet,
  FleetChoice,
  FleetOptions,
  FleetPlace,
  FleetProcess,
  FleetResult,
  FleetSubscriber,
} from './broker/fleet.ts';
export type { FailureCount } from './broker/failure-watch.ts';
export type { SubscriberInfo } from './api/subscriber-info.ts';
export type {
  DescribedPlace,
  DescribedSchemas,
  Description,
  LiveSchemas,
  PublisherDescription,
  SubscriberDescription,
} from './broker/description.ts';
export type { JsonSchema } from './message/json-schema.ts';
export type { Publisher } from './publish/publisher.ts';
export type { PublishPipelineOptions, PublishPipeline } from './publish/pipeline.ts';
export type { ConsumedMessage, Consumer } from './consume/consumer.ts';

// Application
export { createApp, type App, type AppOptions, type RunOptions } from './broker/app.ts';
export type { Hook } from './broker/steps.ts';

// Decorators
export { publisher, subscriber, type HandlerDecorator } from './api/decorators.ts';
export type { ContractHandler, ContractSubscriberOptions, Handler } from './api/handlers.ts';
export { fromType } from './api/from-type.ts';
export { handlersOf, type DecoratedMethod } from './api/handlers-of.ts';

// Messages that are sent later, or again and again
export type { DelayedBox, DelayedMessage, DelayedPage } from './publish/delayed-box.ts';
export type { EveryOptions, EveryOptionsFor, Repeated, Series } from './api/every.ts';

// Contracts
export { event, rpc } from './api/contract.ts';
export type {
  AnyContract,
  Contract,
  ContractAddress,
  ErrorSchemas,
  EventContract,
  EventDefinition,
  KeyOfEach,
  PlaceOf,
  RpcContract,
  RpcDefinition,
} from './api/contract.ts';

// What a handler receives and answers
export type { MessageContext, NackOptions } from './api/context.ts';
export type { Message } from './api/message.ts';
export type { MessageSource } from './message/message.ts';
export { RedisResponse, Response } from './message/response.ts';
export type { RedisResponseOptions, ResponseOptions } from './message/response.ts';

// Middleware and filters
export type { ConsumeMiddleware, Middleware } from './api/middleware.ts';
export { onError, type ErrorClass, type ErrorHandler } from './api/error-handlers.ts';
export type { Dependency, DependencyValue } from './api/context.ts';
export type { InjectedState, Injections } from './api/inject.ts';
// As a whole, or the interface could not be added to by `declare module 'redstart'`.
export * from './api/state.ts';
export type { PublishCommand, PublishMiddleware } from './api/middleware.ts';
export type { Kind, Target as MessageTarget } from './transport/address.ts';
export type { ReplyAddress } from './message/encoder.ts';
export type { Extras as MessageExtras } from './message/extras.ts';

// Observers
export type {
  AnsweredEvent,
  BreakerEvent,
  BreakerState,
  BuriedEvent,
  CalledEvent,
  ConnectionEvent,
  FailureStage,
  ForwardedEvent,
  HandledEvent,
  HandleEvent,
  Observer,
  PublishedEvent,
  ReceivedEvent,
  RetriedEvent,
  SendEvent,
  SettledEvent,
  TroubleEvent,
  UnacknowledgedEvent,
} from './api/observer.ts';

// Options
export type {
  BrokerOptions,
  ChannelSubscription,
  ConsumerAddress,
  Filter,
  HandlerOptions,
  ListSubscription,
  NoHandlerOptions,
  PublisherOptions,
  RpcDefaults,
  RouterOptions,
  StreamSubscription,
  SubscriberAddress,
  SubscriberOptions,
} from './api/options.ts';
export type { AckPolicy } from './api/ack-policy.ts';
export type {
  AnyListAddress,
  AnyStreamAddress,
  BatchOptions,
  ChannelAddress,
  ChannelOptions,
  ErrorPolicy,
  GroupOptions,
  HandlingOptions,
  KindOf,
  ListAddress,
  ListOptions,
  PlainListAddress,
  PlainStreamAddress,
  Replies,
  StreamAddress,
  StreamOptions,
} from './api/addresses.ts';
export type { DeadLetter } from './consume/dead-letter-format.ts';
export type { DeadLetterBox, DeadLetterChoice, DeadLetterPage } from './consume/dead-letter-box.ts';
export type {
  ClaimOptions,
  DeadLetterAddress,
  DeliveryOptions,
  PauseOptions,
  RetryOptions,
} from './api/delivery.ts';
export type {
  ChannelDestination,
  Destination,
  ListDestination,
  MeantDestination,
  ReplyDestination,
  StreamDestination,
} from './api/destination.ts';
export type { KeyedOptions, MessageOptions } from './api/message-options.ts';
export type { NeverLater, TimeOptions } from './api/time.ts';
export type {
  CallOptions,
  ContractCallOptions,
  GatherResult,
  GatherOptions,
  Publishing,
  RpcOptions,
  PublishOptions,
  RequestManyOptions,
} from './api/publishing.ts';
export type { ContractClient, Sending } from './api/sending.ts';
export type {
  BatchedEventOptions,
  EventOptions,
  PipelinedEventOptions,
} from './api/event-options.ts';
export type { NoLimits, SendLimits } from './api/limits.ts';
export type { ClusterConnection } from './transport/redis/cluster.ts';
export type { RedisClient, RedisConnection } from './transport/redis/connections.ts';
export type { Logger } from './internal/logger.ts';

// Types that the signatures above are made of: what is inferred has a name
export type { NoInjections, PathParameters } from './api/context.ts';
export type { NoErrors } from './api/contract.ts';
export type { PublishedFunction } from './api/decorators.ts';
export type {
  AddressFor,
  AnyPublisher,
  AnySchema,
  BodyOf,
  ConsumerAddressFor,
  HandlerFor,
  OptionsFor,
  PathOf,
  PublisherOptionsFor,
  ResultOf,
} from './api/handlers.ts';
export type {
  AnswerOf,
  BatchedOptions,
  BatchResult,
  BatchTo,
  BodyFor,
  DestinationFor,
  GatherTo,
  OptionsBeside,
  PipelinedOptions,
  PipelineTo,
  PublishResult,
  PublishTo,
  RequestManyTo,
  RequestTo,
  Sent,
} from './api/publishing.ts';
export type {
  GatherBody,
  PublisherBatchOptions,
  PublisherGatherOptions,
  PublisherPublishOptions,
  PublisherRequestManyOptions,
  PublisherRequestOptions,
  RequestManyBody,
} from './api/publisher-calls.ts';
export type {
  AnswersOptions,
  CallIdOptions,
  IdOfEach,
  IdOptions,
  NoChannelId,
  NoIdOptions,
  NoManyId,
  NoOnceOptions,
  OnceOptions,
} from './api/identity.ts';
export type { Answering, AnswerOptions, AnswerTo, AskedPlace } from './api/answering.ts';
export type { Mistake } from './internal/mistake.ts';
export type { InputOf, OutputOf } from './message/schema.ts';

// Bodies, headers and frames
export { defaultCodec, type Codec, type EncodedBody } from './message/codec.ts';
export { binaryFormat, type MessageFormat } from './message/format.ts';
export type { Headers, HeadersInput } from './message/headers.ts';
export type { Schema } from './message/schema.ts';

export type { RateOptions, RatedOptions } from './api/rate.ts';

// Errors
export {
  AppError,
  BrokerClosedError,
  CancelledError,
  ConnectionError,
  DecodeError,
  EncodeError,
  ExpiredError,
  ExhaustedError,
  HandlerTimeoutError,
  IdConflictError,
  InvalidMessageError,
  NoMatchingHandlerError,
  NoReplyError,
  NoRespondersError,
  OverloadedError,
  PipelineError,
  RedstartError,
  Reject,
  RejectedError,
  RemoteError,
  Retry,
  RpcError,
  RpcTimeoutError,
  SendError,
  SetupError,
  StreamBrokenError,
  UnknownIdError,
  type MessageIssue,
} from './errors.ts';
