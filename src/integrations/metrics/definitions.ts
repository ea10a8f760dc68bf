import type { Definition } from './registry.ts';

// Every name on the page, in the order of the page. The table in docs/guide/metrics.md is made of it.

/** Seconds: handlers take microseconds to seconds. */
const SECONDS = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10],
];

/** Bytes: 16, 64, 256 … 16 MiB. */
export const BYTES = [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24].map((power) => 2 ** power);

/** A handler: the template of its address, its title, and the group of a stream (else empty). */
const HANDLER = ['address', 'handler', 'group'] as const;
const ADDRESS = ['address'] as const;
const GROUP = ['address', 'group'] as const;

export const DEFINITIONS = {
  received: {
    ...{ name: 'redstart_received_total', type: 'counter', labels: HANDLER },
    help: 'Messages read from Redis.',
  },
  receivedBytes: {
    ...{ name: 'redstart_received_bytes', type: 'histogram', labels: HANDLER, buckets: BYTES },
    help: 'Size of the messages read, headers and body.',
  },
  handled: {
    ...{ name: 'redstart_handled_total', type: 'counter', labels: [...HANDLER, 'outcome'] },
    help: 'Messages by outcome: ok, failed, expired (the caller no longer waits), skipped (the name does not fit the template).',
  },
  handlerSeconds: {
    ...{ name: 'redstart_handler_duration_seconds', type: 'histogram', labels: HANDLER },
    buckets: SECONDS,
    help: 'Time from the start of a message until its outcome; of a batch, of the whole batch.',
  },
  failures: {
    ...{ name: 'redstart_failures_total', type: 'counter', labels: [...HANDLER, 'stage'] },
    help: 'Failed messages by stage: decode, validate, match (no handler), filter, handler, timeout, exhausted, forward (its result could not be sent on, after outcome ok).',
  },
  errors: {
    ...{ name: 'redstart_errors_total', type: 'counter', labels: [...HANDLER, 'error'] },
    help: 'Failed messages by error: its code, otherwise its class; other after 100 different ones.',
  },
  settled: {
    ...{ name: 'redstart_settled_total', type: 'counter', labels: [...HANDLER, 'how'] },
    help: 'Messages of groups and reliable lists by how they were settled: ack, nack, reject, pending.',
  },
  unacknowledged: {
    ...{ name: 'redstart_unacknowledged_total', type: 'counter', labels: HANDLER },
    help: 'Acknowledgements that Redis refused; they are sent again until it accepts them.',
  },
  retried: {
    ...{ name: 'redstart_retried_total', type: 'counter', labels: HANDLER },
    help: 'Deliveries after which the message is delivered again.',
  },
  buried: {
    ...{ name: 'redstart_buried_total', type: 'counter', labels: HANDLER },
    help: 'Messages sent to their dead letters.',
  },
  pauses: {
    ...{ name: 'redstart_pauses_total', type: 'counter', labels: HANDLER },
    help: 'Times that reading was paused because messages failed in a row (the option pause).',
  },
  answers: {
    ...{ name: 'redstart_answers_total', type: 'counter', labels: [...HANDLER, 'outcome'] },
    help: 'Answers by outcome: sent, nobody (no receiver), failed (could not be sent).',
  },
  published: {
    ...{ name: 'redstart_published_total', type: 'counter', labels: ['address', 'outcome'] },
    help: 'Messages sent by outcome: ok, failed. The address of answers is reply.',
  },
  publishErrors: {
    ...{ name: 'redstart_publish_errors_total', type: 'counter', labels: ['address', 'error'] },
    help: 'Messages that could not be sent, by error.',
  },
  publishSeconds: {
    ...{ name: 'redstart_publish_duration_seconds', type: 'histogram', labels: ADDRESS },
    buckets: SECONDS,
    help: 'Time until Redis confirmed a message.',
  },
  calls: {
    ...{ name: 'redstart_calls_total', type: 'counter', labels: ['address', 'outcome'] },
    help: 'Calls by outcome: ok, failed, timeout, nobody (no subscriber), overloaded, cancelled.',
  },
  callErrors: {
    ...{ name: 'redstart_call_errors_total', type: 'counter', labels: ['address', 'error'] },
    help: 'Calls without an answer, by error.',
  },
  callSeconds: {
    ...{ name: 'redstart_call_duration_seconds', type: 'histogram', labels: ADDRESS },
    buckets: SECONDS,
    help: 'Round trip of calls, failed ones included; of a streamed answer, until its end.',
  },
  pendingCalls: {
    ...{ name: 'redstart_pending_calls', type: 'gauge', labels: [] },
    help: 'Calls that wait for an answer now.',
  },
  lateAnswers: {
    ...{ name: 'redstart_late_answers_total', type: 'counter', labels: [] },
    help: 'Answers that no call waited for any more.',
  },
  up: {
    ...{ name: 'redstart_connection_up', type: 'gauge', labels: [], across: 'min' },
    help: '1 if Redis answered for this page, otherwise 0.',
  },
  lost: {
    ...{ name: 'redstart_connection_lost_total', type: 'counter', labels: [] },
    help: 'Times that the connection to Redis was lost.',
  },
  reconnected: {
    ...{ name: 'redstart_reconnected_total', type: 'counter', labels: [] },
    help: 'Times that the connection was there again.',
  },
  live: {
    ...{ name: 'redstart_live', type: 'gauge', labels: [], across: 'min' },
    help: '0 if a subscriber has failed, otherwise 1.',
  },
  ready: {
    ...{ name: 'redstart_ready', type: 'gauge', labels: [], across: 'min' },
    help: '1 if the broker takes work, otherwise 0.',
  },
  trouble: {
    ...{ name: 'redstart_trouble_total', type: 'counter', labels: ['where', 'problem', 'level'] },
    help: 'Problems without a caller to report to, and their end, as in the log; # stands for numbers.',
  },
  state: {
    ...{ name: 'redstart_subscriber_state', type: 'gauge', labels: [...HANDLER, 'state'] },
    help: '1 for the state that the subscriber is in, the only one with a line: starting, running, retrying, failed, stuck, open, paused, stopped.',
  },
  running: {
    ...{ name: 'redstart_running', type: 'gauge', labels: HANDLER },
    help: 'Handlers that run now.',
  },
  longest: {
    ...{ name: 'redstart_longest_seconds', type: 'gauge', labels: HANDLER, across: 'max' },
    help: 'How long the oldest of them has run.',
  },
  waiting: {
    ...{ name: 'redstart_waiting', type: 'gauge', labels: HANDLER },
    help: 'Messages of a channel that have arrived and are not handled yet.',
  },
  dropped: {
    ...{ name: 'redstart_dropped_total', type: 'counter', labels: HANDLER },
    help: 'Messages of a channel dropped because too many waited.',
  },
  held: {
    ...{ name: 'redstart_held', type: 'gauge', labels: HANDLER },
    help: 'Messages in this process that are not acknowledged, those that wait for a retry included.',
  },
  listLength: {
    ...{ name: 'redstart_list_length', type: 'gauge', labels: ADDRESS, across: 'max' },
    help: 'Items in a list (LLEN). The same from every process: use max by (address).',
  },
  lag: {
    ...{ name: 'redstart_group_lag', type: 'gauge', labels: GROUP, across: 'max' },
    help: 'Entries not delivered to the group yet; missing if Redis does not know. The same from every process.',
  },
  pending: {
    ...{ name: 'redstart_group_pending', type: 'gauge', labels: GROUP, across: 'max' },
    help: 'Entries delivered to the group and not acknowledged. The same from every process.',
  },
  consumers: {
    ...{ name: 'redstart_group_consumers', type: 'gauge', labels: GROUP, across: 'max' },
    help: 'Consumers of the group, dead ones included. The same from every process.',
  },
  oldest: {
    ...{ name: 'redstart_group_oldest_seconds', type: 'gauge', labels: GROUP, across: 'max' },
    help: 'Age of the oldest entry that is not acknowledged or not delivered; 0 if there is none. The same from every process.',
  },
  deadLetters: {
    ...{ name: 'redstart_dead_letters', type: 'gauge', labels: ADDRESS, across: 'max' },
    help: 'Dead letters in a place. The same from every process.',
  },
  deadLettersMax: {
    ...{ name: 'redstart_dead_letters_max', type: 'gauge', labels: ADDRESS, across: 'max' },
    help: 'How many of them are kept at most.',
  },
} satisfies Record<string, Definition>;

/** Labels and HELP of FastStream 0.7's RedisPrometheusMiddleware, each label list in its order. */
const RECEIVED = ['app_name', 'broker', 'handler'] as const;
const SENT = ['app_name', 'broker', 'destination'] as const;
/** prometheus_client's default. */
const PYTHON_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
] as const;

export const FASTSTREAM = {
  received: {
    ...{ name: 'faststream_received_messages_total', type: 'counter', labels: RECEIVED },
    help: 'Count of received messages by broker and handler',
  },
  size: {
    ...{ name: 'faststream_received_messages_size_bytes', type: 'histogram', labels: RECEIVED },
    buckets: BYTES,
    help: 'Histogram of received messages size in bytes by broker and handler',
  },
  inProcess: {
    ...{ name: 'faststream_received_messages_in_process', type: 'gauge', labels: RECEIVED },
    help: 'Gauge of received messages in process by broker and handler',
  },
  processed: {
    ...{ name: 'faststream_received_processed_messages_total', type: 'counter' },
    labels: [...RECEIVED, 'status'],
    help: 'Count of received processed messages by broker, handler and status',
  },
  processedSeconds: {
    ...{ name: 'faststream_received_processed_messages_duration_seconds', type: 'histogram' },
    ...{ labels: RECEIVED, buckets: PYTHON_SECONDS },
    help: 'Histogram of received processed messages duration in seconds by broker and handler',
  },
  exceptions: {
    ...{ name: 'faststream_received_processed_messages_exceptions_total', type: 'counter' },
    labels: ['app_name', 'broker', 'exception_type', 'handler'],
    help: 'Count of received processed messages exceptions by broker, handler and exception_type',
  },
  published: {
    ...{
      name: 'faststream_published_messages_total',
      type: 'counter',
      labels: [...SENT, 'status'],
    },
    help: 'Count of published messages by destination and status',
  },
  publishedSeconds: {
    ...{ name: 'faststream_published_messages_duration_seconds', type: 'histogram' },
    ...{ labels: SENT, buckets: PYTHON_SECONDS },
    help: 'Histogram of published messages duration in seconds by broker and destination',
  },
  publishExceptions: {
    ...{ name: 'faststream_published_messages_exceptions_total', type: 'counter' },
    labels: [...SENT, 'exception_type'],
    help: 'Count of published messages exceptions by broker, destination and exception_type',
  },
} satisfies Record<string, Definition>;
