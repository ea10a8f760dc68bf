import { CALL_KEY, type Message } from '../message/message.ts';

/** A call with more than one answer: a stream, a gathering. Each method takes one message to it. */
export interface Conversation {
  readonly call: number;
  /** A plain answer. */
  value(message: Message): void;
  error(message: Message): void;
  declined(message: Message): void;
  item(message: Message): void;
  end(message: Message): void;
  /** A responder says where it can be spoken to. */
  taken(from: string, message: Message): void;
  /** The connection broke and was made again: messages may be missing. */
  interrupted(): void;
  /** Nothing more will come. */
  close(reason: Error): void;
}

/** The conversations under way, by the number of their call. */
export class Conversations {
  readonly #open = new Map<number, Conversation>();

  get size(): number {
    return this.#open.size;
  }

  add(conversation: Conversation): void {
    this.#open.set(conversation.call, conversation);
  }

  delete(conversation: Conversation): void {
    this.#open.delete(conversation.call);
  }

  find(message: Message): Conversation | undefined {
    return this.#open.size === 0 ? undefined : this.#open.get(Number(message.header(CALL_KEY)));
  }

  interrupted(): void {
    for (const conversation of [...this.#open.values()]) conversation.interrupted();
  }

  close(reason: Error): void {
    for (const conversation of [...this.#open.values()]) conversation.close(reason);
  }
}
