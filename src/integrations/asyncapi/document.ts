import type {
  Description,
  JsonSchema,
  PublisherDescription,
  SubscriberDescription,
} from '../../index.ts';
import { addressOf, nameFrom, unused } from './names.ts';
import { ERROR, Headers, errorWith } from './shapes.ts';
import { Schemas } from './schemas.ts';

/** `{ $ref: '#/…' }` */
export interface Reference {
  readonly $ref: string;
}

/** What the document says of redstart alone, under `x-redstart`. */
export type Extension = Readonly<Record<string, unknown>>;

export interface AsyncApiInfo {
  readonly title: string;
  readonly version: string;
  readonly description?: string;
  /** Contact, licence, tags and whatever else the specification allows. */
  readonly [more: string]: unknown;
}

export interface AsyncApiMessage {
  readonly description?: string;
  readonly headers: JsonSchema;
  readonly payload: JsonSchema;
  readonly correlationId: { readonly location: string };
  readonly 'x-redstart'?: Extension;
}

export interface AsyncApiChannel {
  /** The full name in Redis; null for the place that a caller names in `reply_to`. */
  readonly address: string | null;
  readonly title?: string;
  readonly description?: string;
  readonly parameters?: Readonly<Record<string, object>>;
  readonly messages: Readonly<Record<string, AsyncApiMessage>>;
  readonly 'x-redstart'?: Extension;
}

export interface AsyncApiOperation {
  readonly action: 'send' | 'receive';
  readonly channel: Reference;
  readonly title?: string;
  readonly description?: string;
  readonly messages: readonly Reference[];
  readonly reply?: {
    readonly address?: { readonly location: string; readonly description: string };
    readonly channel: Reference;
    readonly messages?: readonly Reference[];
    readonly 'x-redstart'?: Extension;
  };
  readonly 'x-redstart'?: Extension;
}

/** The specification that a document names: it is the same in both. Some tools refuse 3.1. */
export type AsyncApiVersion = '3.0.0' | '3.1.0';

/** An AsyncAPI document as plain data. */
export interface AsyncApiDocument {
  readonly asyncapi: AsyncApiVersion;
  readonly info: AsyncApiInfo;
  readonly defaultContentType: string;
  readonly servers?: Readonly<Record<string, object>>;
  readonly channels: Readonly<Record<string, AsyncApiChannel>>;
  readonly operations: Readonly<Record<string, AsyncApiOperation>>;
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema>> };
}

/** What no broker says. */
export interface Fields {
  readonly version: AsyncApiVersion;
  readonly info: AsyncApiInfo;
  readonly servers: AsyncApiDocument['servers'];
}

type Receiver = SubscriberDescription;
type Sender = PublisherDescription;
/** What else than its kind and name makes a place. */
type Naming = Partial<Pick<Receiver, 'parameters' | 'pattern' | 'sharded'>>;

const CORRELATION_ID = { location: '$message.header#/correlation_id' };
const REPLY_TO = {
  location: '$message.header#/reply_to',
  description: 'The caller names the place that it waits at.',
};
const REPLIES = 'replies';

class Channel {
  readonly key: string;
  readonly fields: Omit<AsyncApiChannel, 'messages'>;
  readonly messages = new Map<string, AsyncApiMessage>();

  constructor(key: string, fields: Omit<AsyncApiChannel, 'messages'>) {
    this.key = key;
    this.fields = fields;
  }

  get reference(): Reference {
    return { $ref: `#/channels/${this.key}` };
  }

  get all(): Reference[] {
    return [...this.messages.keys()].map((key) => this.#messageAt(key));
  }

  /** The messages with this payload. */
  withPayload(payload: JsonSchema): Reference[] {
    const content = JSON.stringify(payload);
    const found = [...this.messages].filter(([, one]) => JSON.stringify(one.payload) === content);
    return found.map(([key]) => this.#messageAt(key));
  }

  /** Adds a message, and returns the reference to it; two of the same content are one. */
  add(name: string, message: AsyncApiMessage): Reference {
    const content = JSON.stringify(message);
    for (const [known, other] of this.messages)
      if (JSON.stringify(other) === content) return this.#messageAt(known);
    const key = unused(this.messages, name);
    this.messages.set(key, message);
    return this.#messageAt(key);
  }

  #messageAt(key: string): Reference {
    return { $ref: `#/channels/${this.key}/messages/${key}` };
  }
}

/** Writes one document: what receives first, so that what is sent there has its messages. */
class Writer {
  readonly receivers = new Map<string, Receiver>();
  readonly #schemas = new Schemas();
  readonly #headers = new Headers(this.#schemas);
  /** By what makes a place another one, such as its kind and name. */
  readonly #places = new Map<string, Channel>();
  readonly #channels = new Map<string, Channel>();
  readonly #operations = new Map<string, AsyncApiOperation>();
  /** What is received from templates, by name. */
  readonly #templates = new Map<string, Receiver>();
  #replies: Channel | undefined;

  receive(receivers: readonly Receiver[]): void {
    const places = receivers.map((one) => this.#placeOf(one, one));
    const titles = receivers.map(({ title }) => nameFrom(title));
    for (const [i, one] of receivers.entries()) {
      if (one.parameters.length > 0) this.#templates.set(one.name, one);
      const place = places[i] as Channel;
      const title = titles[i] as string;
      const isAlone = titles.filter((other) => other === title).length === 1;
      const name = isAlone ? title : `${title}.${place.key}`;
      const key = unused(this.#operations, name);
      const message = place.add(`${key}.${one.answers ? 'request' : 'message'}`, {
        headers: one.answers ? this.#headers.request : this.#headers.message,
        ...this.#payload(one.schema, one.live.schema, `${key}.body`),
      });
      this.receivers.set(key, one);
      this.#operations.set(key, {
        action: 'receive',
        channel: place.reference,
        title: one.title,
        ...(one.description !== null && { description: one.description }),
        messages: [message],
        ...(one.answers && { reply: this.#reply(one, key) }),
        ...extension(handlingOf(one)),
      });
    }
  }

  send(senders: readonly Sender[]): void {
    for (const one of senders) {
      const isTemplate = one.parameters.length > 0;
      // A contract's name is written as in the template of its handler.
      const place = this.#placeOf(one, isTemplate ? one : this.#templates.get(one.name));
      const isCall = one.contract && one.live.reply !== undefined;
      const wanted = `send.${one.title === null ? place.key : nameFrom(one.title)}`;
      const key = unused(this.#operations, wanted);
      const operation: AsyncApiOperation = {
        action: 'send',
        channel: place.reference,
        ...(one.title !== null && { title: one.title }),
        ...(one.description !== null && { description: one.description }),
        messages: this.#sent(one, place, `${key}.${isCall ? 'request' : 'message'}`),
        ...(one.replyTo !== null
          ? { reply: this.#replyAt(one.replyTo, key) }
          : isCall && { reply: this.#reply(one, key) }),
      };
      // Two publishers of the same to the same place are one.
      const content = JSON.stringify(operation);
      const others = [...this.#operations.values()];
      if (!others.some((other) => JSON.stringify(other) === content))
        this.#operations.set(key, operation);
    }
  }

  /** What a sender sends: where handlers here receive the same, their messages; of one that does not say what, all of theirs. */
  #sent(one: Sender, place: Channel, name: string): Reference[] {
    const body = this.#payload(one.schema, one.live.schema, `${name}.body`);
    const isUnknown = one.schema === null && one.live.schema === undefined;
    const known = isUnknown ? place.all : place.withPayload(body.payload);
    if (known.length > 0) return known;
    const isAnswered = one.replyTo !== null || (one.contract && one.live.reply !== undefined);
    const headers = isAnswered ? this.#headers.request : this.#headers.message;
    return [place.add(name, { headers, ...body })];
  }

  document(fields: Fields): AsyncApiDocument {
    const { version, info, servers } = fields;
    const channels = [...this.#channels].map(([key, { fields, messages }]) => {
      const titled = [...messages].map(([name, one]) => [name, withTitle(one, name)] as const);
      return [key, { ...fields, messages: sorted(titled) }] as const;
    });
    return {
      asyncapi: version,
      info,
      defaultContentType: 'application/json',
      ...(servers !== undefined && { servers }),
      channels: sorted(channels),
      operations: sorted(this.#operations),
      components: { schemas: this.#schemas.components },
    };
  }

  #placeOf(
    { kind, name }: Pick<Receiver, 'kind' | 'name'>,
    { parameters = [], pattern = false, sharded = false }: Naming = {},
  ): Channel {
    const identity = JSON.stringify([kind, name, parameters, pattern]);
    let place = this.#places.get(identity);
    if (place !== undefined) return place;
    const { address, parameters: described } = addressOf(name, parameters);
    place = new Channel(unused(this.#channels, nameFrom(`${name}.${kind}`)), {
      address,
      ...(Object.keys(described).length > 0 && { parameters: described }),
      ...extension({ structure: kind, pattern, sharded }),
    });
    this.#places.set(identity, place);
    this.#channels.set(place.key, place);
    return place;
  }

  /** The answer that the caller waits for at the place in its `reply_to`. */
  #reply(one: Receiver | Sender, key: string): NonNullable<AsyncApiOperation['reply']> {
    const replies = (this.#replies ??= this.#addReplies());
    const { reply, live, many, errors } = one;
    const codes = Object.keys(errors).toSorted();
    const payload = this.#payload(reply, live.reply, `${key}.reply`);
    const messages = many
      ? [
          replies.add(`${key}.item`, { headers: this.#headers.of('item'), ...payload }),
          replies.add('end', {
            description: 'The stream of items is over.',
            headers: this.#headers.of('end'),
            payload: {},
            correlationId: CORRELATION_ID,
          }),
        ]
      : [
          replies.add(reply === null && live.reply === undefined ? 'reply' : `${key}.reply`, {
            headers: this.#headers.answer,
            ...payload,
          }),
        ];
    for (const code of codes) {
      const schema = errors[code] ?? null;
      const data = this.#payload(schema, live.errors[code], `${key}.error.${code}`);
      const name = nameFrom(`${key}.error.${code}`);
      const { payload: content, ...rest } = data;
      const message = {
        headers: this.#headers.of('error'),
        ...rest,
        payload: errorWith(code, content),
      };
      messages.push(replies.add(name, { ...message, 'x-redstart': { error: code } }));
    }
    const name = codes.length === 0 ? 'error' : `${key}.error`;
    messages.push(
      replies.add(name, {
        description: 'The handler failed. Only callers that sent the header redstart-call get it.',
        headers: this.#headers.of('error'),
        // A declared error has a message of its own, and fits no other.
        payload:
          codes.length === 0
            ? ERROR
            : { ...ERROR, not: { properties: { code: { enum: codes } }, required: ['code'] } },
        correlationId: CORRELATION_ID,
      }),
    );
    return {
      address: REPLY_TO,
      channel: replies.reference,
      messages,
      ...extension({ many }),
    };
  }

  #addReplies(): Channel {
    const replies = new Channel(REPLIES, {
      address: null,
      title: 'Answers',
      description: 'What a caller gets at the place that it named in the header reply_to.',
    });
    this.#channels.set(replies.key, replies);
    return replies;
  }

  /** The answer to a publisher that has it sent to a place of its own. */
  #replyAt(
    to: NonNullable<Sender['replyTo']>,
    key: string,
  ): NonNullable<AsyncApiOperation['reply']> {
    const place = this.#placeOf(to);
    if (place.messages.size === 0) {
      const payload = this.#payload(null, undefined, '');
      place.add(`${key}.reply`, { headers: this.#headers.answer, ...payload });
    }
    return { channel: place.reference };
  }

  #payload(
    schema: JsonSchema | null,
    live: unknown,
    name: string,
  ): Pick<AsyncApiMessage, 'payload' | 'correlationId' | 'description'> {
    return {
      ...(schema === null &&
        live !== undefined && { description: 'Its schema cannot be written as JSON Schema.' }),
      payload: this.#schemas.add(schema, nameFrom(name)),
      correlationId: CORRELATION_ID,
    };
  }
}

/** A document, and what its operations that receive were made of, by their keys. */
export interface Written {
  readonly document: AsyncApiDocument;
  readonly receivers: ReadonlyMap<string, SubscriberDescription>;
}

export function write(descriptions: readonly Description[], fields: Fields): Written {
  const receivers = descriptions.flatMap(({ subscribers }) => subscribers);
  const writer = new Writer();
  writer.receive(receivers);
  writer.send([
    ...receivers.flatMap(({ publishes }) => publishes),
    ...descriptions.flatMap(({ publishers }) => publishers),
  ]);
  return { document: writer.document(fields), receivers: writer.receivers };
}

/** A body's schema without a name of its own has its message's: generators of code name types by it. */
function withTitle(message: AsyncApiMessage, name: string): AsyncApiMessage {
  const { payload } = message;
  if (payload['type'] !== 'object' || 'title' in payload) return message;
  return { ...message, payload: { title: name, ...payload } };
}

/** What AsyncAPI has no word for. */
function handlingOf(one: Receiver): Extension {
  const settles = one.group !== null || one.reliable;
  return {
    group: one.group,
    reliable: one.reliable,
    batch: one.batch,
    filtered: one.filtered,
    concurrency: one.concurrency === 1 ? null : one.concurrency,
    ackPolicy: settles ? one.ackPolicy : null,
    errorPolicy: one.answers && one.errorPolicy !== 'send' ? one.errorPolicy : null,
    retry: one.retry,
    deadLetter: one.deadLetter,
  };
}

/** Without what is not so. */
function extension(values: Extension): { 'x-redstart'?: Extension } {
  const said = Object.entries(values).filter(([, value]) => value !== null && value !== false);
  return said.length === 0 ? {} : { 'x-redstart': Object.fromEntries(said) };
}

function sorted<T>(entries: Iterable<readonly [string, T]>): Record<string, T> {
  return Object.fromEntries([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
