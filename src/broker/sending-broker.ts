import type { Contract } from '../api/contract.ts';
import type { Destination } from '../api/destination.ts';
import type { Publishing } from '../api/publishing.ts';
import type { PublishPipeline, PublishPipelineOptions } from '../publish/pipeline.ts';
import type { Sender } from '../publish/sender.ts';
import { Router } from './router.ts';

/** The sending half of a broker. */
export abstract class SendingBroker extends Router implements Publishing {
  /** @internal */
  protected abstract readonly sender: Sender;

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

  /** Collects messages for any addresses, to be sent in one round trip by its `send()`. */
  readonly pipeline = (options?: PublishPipelineOptions): PublishPipeline =>
    this.sender.pipeline(options);

  /**
   * Takes back a message that was published with `delay` or `at` (EVALSHA). `address` is where it was
   * sent to, `handle` what `publish` resolved with. Resolves with false where it has been sent already,
   * or is not known. Rejects with `SetupError` for what is no address and no handle.
   */
  readonly cancel = (address: string | Destination | Contract, handle: string): Promise<boolean> =>
    this.sender.cancel(address, handle);
}
