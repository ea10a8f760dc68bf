import type { Answering } from '../api/answering.ts';
import type { Contract } from '../api/contract.ts';
import type { Destination } from '../api/destination.ts';
import type { EveryOptions, EveryOptionsFor, Repeated } from '../api/every.ts';
import type { Publishing } from '../api/publishing.ts';
import type { DelayedBox } from '../publish/delayed-box.ts';
import type { PublishPipeline, PublishPipelineOptions } from '../publish/pipeline.ts';
import type { Sender } from '../publish/sender.ts';
import type { Repeats } from './repeats.ts';
import { Router } from './router.ts';

/** The sending half of a broker. */
export abstract class SendingBroker extends Router implements Publishing, Answering {
  /** @internal */
  protected abstract readonly sender: Sender;
  /** @internal */
  protected abstract readonly repeats: Repeats;

  readonly publish: Publishing['publish'] = (body: unknown, to: unknown, more?: object) =>
    this.sender.publish(body, to, more);

  readonly request: Publishing['request'] = (body: unknown, to: unknown, more?: object) =>
    this.sender.request(body, to, more);

  readonly publishBatch: Publishing['publishBatch'] = (
    bodies: readonly unknown[],
    to: unknown,
    more?: object,
  ) => this.sender.publishBatch(bodies, to, more);

  readonly requestMany: Publishing['requestMany'] = (body: unknown, to: unknown, more?: object) =>
    this.sender.requestMany(body, to, more);

  readonly gather: Publishing['gather'] = (body: unknown, to: unknown, more?: object) =>
    this.sender.gather(body, to, more);

  readonly answer: Answering['answer'] = (id: string, of: unknown, more?: object) =>
    this.sender.answer(id, of, more);

  /** Collects messages for any addresses, to be sent in one round trip by its `send()`. */
  readonly pipeline = (options?: PublishPipelineOptions): PublishPipeline =>
    this.sender.pipeline(options);

  /**
   * Takes back a message that was published with `delay` or `at` (EVALSHA). `address` is where it was
   * sent to, `handle` what `publish` resolved with. Resolves with false where it has been sent already,
   * or is not known. Rejects with `SetupError` for what is no address and no handle.
   */
  readonly cancel = async (
    address: string | Destination | Contract,
    handle: string,
  ): Promise<boolean> => this.sender.delayed(address, 'cancel').cancel(handle);

  /** The messages to a channel, list or stream that are not sent yet: to list and to cancel. */
  delayed(address: string | Destination | Contract): DelayedBox {
    return this.sender.delayed(address, 'delayed');
  }

  /**
   * Sends a message once a period, while this broker is connected: every so many milliseconds, counted
   * from 1970, or by a cron expression (five fields, or six with seconds first; needs the package
   * croner). All processes that call it with the same `id` and destination send one message a period
   * together, by the server's clock. Periods in which none was up are made up by one message. Throws
   * `SetupError` for a mistake, and for an `id` that this broker repeats there already.
   */
  every<const When extends number | string, const Given = unknown>(
    when: When,
    options: EveryOptionsFor<When, Given>,
  ): Repeated {
    return this.repeats.add(when, options as EveryOptions);
  }
}
