export { testBroker, type TestBroker } from './test-broker.ts';
export type { HandledCall, PublishedMessage } from './records.ts';
