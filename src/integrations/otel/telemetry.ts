import {
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  context,
  createContextKey,
  isSpanContextValid,
  propagation,
  trace,
  type Attributes,
  type Context,
  type Link,
  type MeterProvider,
  type Span,
  type TextMapGetter,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';
import {
  Retry,
  RpcError,
  type BuriedEvent,
  type CalledEvent,
  type HandledEvent,
  type HandleEvent,
  type Headers,
  type Message,
  type Observer,
  type PublishedEvent,
  type ReceivedEvent,
  type RetriedEvent,
  type SendEvent,
} from '../../index.ts';
import { errorType } from '../bounded.ts';
import { Instruments, SCOPE } from './instruments.ts';

export interface TelemetryOptions {
  /** Makes the spans. Default: the provider that is registered globally, now or later. */
  tracerProvider?: TracerProvider;
  /** Makes the metrics. Default: the provider that is registered globally, now or later. */
  meterProvider?: MeterProvider;
  /**
   * `true`: the span of a message begins a new trace and is linked to the span of its publisher, for fan-out and
   * for messages that publish themselves again. `false`: it is a child of that span, and linked to it. Batches and
   * redriven dead letters always begin a new trace. Baggage is kept in both cases. Default `false`.
   */
  links?: boolean;
  /** Whether the Redis commands that send messages have spans, if ioredis is instrumented. Default `false`. */
  commands?: boolean;
  /**
   * Whether an error of a handler makes its span an error. Default: every error except a `Retry` and an `RpcError`
   * that answers a caller.
   */
  isError?: (error: unknown, message: Message) => boolean;
  /** Called with the span of each message or batch before it is handled, to add attributes. Default: none. */
  onProcess?: (span: Span, event: HandleEvent) => void;
  /** Called with the span of each message or call before it is sent, to add attributes. Default: none. */
  onPublish?: (span: Span, event: SendEvent) => void;
}

/** What the SDK makes of this key is a Symbol.for: spans that begin below it are not recorded. */
const SUPPRESS_TRACING = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

/** The delegate of a provider that was never given one: nothing is recorded. */
const NOTHING = new ProxyTracerProvider().getDelegate();

/** The header of a call, beside `reply_to`. */
const CALL = 'redstart-call';

/** The header of a message that was a dead letter. */
const REDRIVEN = 'redstart-redriven';

/** Names of headers that another library wrote may be in upper case. */
const getter: TextMapGetter<Headers> = {
  get: (headers, name) =>
    headers[name] ??
    headers[Object.keys(headers).find((key) => key.toLowerCase() === name) ?? name],
  keys: (headers) => Object.keys(headers),
};

/** The span of one message, or of one batch. */
interface Processing {
  readonly span: Span;
  readonly tracer: Tracer;
  hasFailed: boolean;
  /** The duration is recorded once for a batch. */
  isRecorded: boolean;
}

/**
 * An observer that makes OpenTelemetry's spans and metrics of what a broker does, and carries the
 * trace in the headers of messages (`traceparent`, `tracestate`, `baggage`, by the propagator that is
 * registered). Without a registered SDK it does next to nothing.
 */
export function telemetry(options: TelemetryOptions = {}): Observer {
  return new Telemetry(options);
}

class Telemetry implements Observer {
  readonly #options: TelemetryOptions;
  readonly #instruments: Instruments;
  /** Spans of what is being sent. The `to` of an event is one object for each message. */
  readonly #sending = new WeakMap<object, Span>();
  readonly #processing = new WeakMap<Message, Processing>();

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#instruments = new Instruments(options.meterProvider);
  }

  /** Whether there is an SDK: without one, no event is made. */
  get enabled(): boolean {
    return this.#tracer() !== undefined || this.#instruments.areRecorded;
  }

  send<T>(event: SendEvent, next: () => T): T {
    const tracer = this.#tracer();
    if (tracer === undefined) return next();
    const active = context.active();
    // An answer is no step of its own; it carries the trace of its handler to whoever reads it.
    if (event.type === 'reply') {
      inject(active, event);
      return next();
    }
    const isCall = event.type === 'request';
    const operation = isCall ? 'call' : 'publish';
    const { name } = event.to;
    const span = tracer.startSpan(
      `${operation} ${name}`,
      {
        kind: isCall ? SpanKind.CLIENT : SpanKind.PRODUCER,
        attributes: {
          'messaging.system': 'redis',
          'messaging.operation.name': operation,
          'messaging.operation.type': 'send',
          'messaging.destination.name': name,
          'messaging.message.conversation_id': event.correlationId,
          ...(isCall ? { 'rpc.system.name': 'redstart', 'rpc.method': name } : {}),
        },
      },
      active,
    );
    this.#sending.set(event.to, span);
    const inside = trace.setSpan(active, span);
    inject(inside, event);
    this.#options.onPublish?.(span, event);
    const { commands = false } = this.#options;
    return context.with(commands ? inside : inside.setValue(SUPPRESS_TRACING, true), next);
  }

  published({ type, to, error, milliseconds }: PublishedEvent): void {
    if (type === 'publish') this.#sent('publish', to, error, milliseconds);
  }

  called({ to, error, milliseconds }: CalledEvent): void {
    this.#sent('call', to, error, milliseconds);
  }

  received({ subscriber }: ReceivedEvent): void {
    this.#instruments.consumed(subscriber);
  }

  handle<T>(event: HandleEvent, next: () => T): T {
    const tracer = this.#tracer();
    if (tracer === undefined) return next();
    const { subscriber, messages } = event;
    const [message] = messages as [Message];
    const isBatch = subscriber.batch;
    // Never what is active here: that is the context of whoever started the reader.
    const sent = isBatch
      ? ROOT_CONTEXT
      : propagation.extract(ROOT_CONTEXT, message.headers, getter);
    const links = isBatch ? messages.flatMap(linksOf) : linksIn(sent);
    // The trace of a dead letter that was sent back was over long ago: it begins another one.
    const isRedriven = !isBatch && message.headers[REDRIVEN] !== undefined;
    const around = this.#options.links === true || isRedriven ? trace.deleteSpan(sent) : sent;
    const attributes: Attributes = {
      'messaging.system': 'redis',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      ...destinationOf(message, subscriber.name),
    };
    if (subscriber.group !== undefined)
      attributes['messaging.consumer.group.name'] = subscriber.group;
    if (isRedriven) attributes['redstart.redriven'] = true;
    if (isBatch) attributes['messaging.batch.message_count'] = messages.length;
    else Object.assign(attributes, attributesOf(message, subscriber.name));
    const span = tracer.startSpan(
      `process ${subscriber.name}`,
      { kind: SpanKind.CONSUMER, attributes, links },
      around,
    );
    const processing = { span, tracer, hasFailed: false, isRecorded: false };
    for (const one of messages) this.#processing.set(one, processing);
    const end = (): void => span.end();
    try {
      this.#options.onProcess?.(span, event);
      const result = context.with(trace.setSpan(around, span), next);
      if (result instanceof Promise) void result.then(end, end);
      else end();
      return result;
    } catch (error) {
      end();
      throw error;
    }
  }

  handled({ subscriber, message, outcome, error, stage, milliseconds }: HandledEvent): void {
    const processing = this.#processing.get(message);
    const { isError = isErrorByDefault } = this.#options;
    const type = outcome === 'failed' && isError(error, message) ? errorType(error) : undefined;
    if (processing?.isRecorded !== true)
      this.#instruments.processed(subscriber, milliseconds, type);
    if (processing === undefined) return;
    processing.isRecorded = true;
    const { span } = processing;
    span.setAttribute('redstart.handler', subscriber.title);
    if (outcome !== 'ok') span.setAttribute('redstart.outcome', outcome);
    if (stage !== undefined) span.setAttribute('redstart.stage', stage);
    if (error instanceof RpcError) span.setAttribute('rpc.status_code', error.code);
    if (type === undefined || processing.hasFailed) return;
    processing.hasFailed = true;
    fail(span, error, type);
  }

  retried({ message, delay }: RetriedEvent): void {
    const span = this.#processing.get(message)?.span;
    if (span?.isRecording() === true) span.setAttribute('redstart.retry.delay', delay);
  }

  buried({ message, to, error }: BuriedEvent): void {
    const processing = this.#processing.get(message);
    if (processing === undefined) return;
    const { tracer, span } = processing;
    const buried = tracer.startSpan(
      `dead-letter ${to.name}`,
      {
        kind: SpanKind.PRODUCER,
        attributes: {
          'messaging.system': 'redis',
          'messaging.operation.name': 'dead-letter',
          'messaging.operation.type': 'send',
          'messaging.destination.name': to.name,
          'messaging.message.conversation_id': message.correlationId,
          'redstart.dead_letter.error': errorType(error),
        },
      },
      trace.setSpan(ROOT_CONTEXT, span),
    );
    buried.end();
  }

  #sent(
    operation: 'publish' | 'call',
    to: { readonly name: string },
    error: unknown,
    milliseconds: number,
  ): void {
    const type = error === undefined ? undefined : errorType(error);
    this.#instruments.sent(operation, to.name, milliseconds, type);
    const span = this.#sending.get(to);
    if (span === undefined) return;
    this.#sending.delete(to);
    if (type !== undefined) fail(span, error, type);
    span.end();
  }

  /** Undefined where no SDK is registered. */
  #tracer(): Tracer | undefined {
    const provider = this.#options.tracerProvider ?? trace.getTracerProvider();
    if (provider instanceof ProxyTracerProvider && provider.getDelegate() === NOTHING)
      return undefined;
    return provider.getTracer(SCOPE);
  }
}

function inject(from: Context, event: SendEvent): void {
  const carrier: Record<string, string> = {};
  propagation.inject(from, carrier);
  event.addHeaders(carrier);
}

function linksOf(message: Message): Link[] {
  return linksIn(propagation.extract(ROOT_CONTEXT, message.headers, getter));
}

function linksIn(from: Context): Link[] {
  const sender = trace.getSpanContext(from);
  return sender !== undefined && isSpanContextValid(sender) ? [{ context: sender }] : [];
}

/** The real name; beside it the template, where that is another. */
function destinationOf({ source }: Message, template: string): Attributes {
  const name =
    'channel' in source ? source.channel : 'list' in source ? source.list : source.stream;
  return name === template
    ? { 'messaging.destination.name': name }
    : { 'messaging.destination.name': name, 'messaging.destination.template': template };
}

function attributesOf(message: Message, template: string): Attributes {
  const { id, correlationId, deliveryCount, replyTo, headers } = message;
  const attributes: Attributes = { 'messaging.message.conversation_id': correlationId };
  if (id !== undefined) attributes['messaging.message.id'] = id;
  if (deliveryCount > 1) attributes['redstart.delivery_count'] = deliveryCount;
  if (replyTo !== undefined && headers[CALL] !== undefined) {
    attributes['rpc.system.name'] = 'redstart';
    attributes['rpc.method'] = template;
  }
  return attributes;
}

function isErrorByDefault(error: unknown, { replyTo }: Message): boolean {
  if (error instanceof Retry) return false;
  return !(error instanceof RpcError && replyTo !== undefined);
}

function fail(span: Span, error: unknown, type: string): void {
  const message = error instanceof Error ? error.message : String(error);
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
  span.recordException(error instanceof Error ? error : message);
}
