export {
  testBroker,
  testBrokerOnRedis,
  type RedisTestBroker,
  type TestBroker,
} from './test-broker.ts';
export type { HandledCall, PublishedMessage } from './records.ts';
export {
  testContext,
  type SentMessage,
  type TestContext,
  type TestContextOptions,
} from './test-context.ts';
