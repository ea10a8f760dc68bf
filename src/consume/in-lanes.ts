import type { MessageFormat } from '../message/format.ts';
import { openFrame } from '../message/format.ts';
import { ReceivedMessage } from '../message/message.ts';
import { Lanes } from '../transport/lanes.ts';
import type { Delivery, Report } from '../transport/source.ts';
import type { Process } from './counted.ts';

/** Handles one message of a key at a time: `ordered`. */
export class InLanes {
  readonly lanes: Lanes;
  readonly #report: Report;
  /** Handlers whose time may end before they do. */
  readonly #handlers = new Map<Delivery, Promise<unknown>>();

  constructor(format: MessageFormat, needsAck: boolean, report: Report) {
    this.#report = report;
    this.lanes = new Lanes({ laneOf: (delivery) => keyOf(delivery, format), needsAck });
  }

  /** The handler of a delivery, which goes on after its `timeout` where it does not heed its signal. */
  runs(delivery: Delivery, handler: Promise<unknown>): void {
    this.#handlers.set(delivery, handler);
  }

  /** Has a lane go on when the handler of its delivery has really ended. */
  process(process: Process): Process {
    return (deliveries) => {
      const [delivery] = deliveries as [Delivery];
      try {
        const done = process(deliveries);
        if (done === undefined) this.lanes.ended(delivery);
        else
          void done.then(
            () => this.#ended(delivery),
            () => this.#ended(delivery),
          );
        return done;
      } catch (error) {
        this.lanes.ended(delivery);
        throw error;
      }
    };
  }

  #ended(delivery: Delivery): void {
    const handler = this.#handlers.get(delivery);
    if (handler === undefined) return this.lanes.ended(delivery);
    this.#handlers.delete(delivery);
    let isOver = false;
    const over = (): void => {
      isOver = true;
      this.lanes.ended(delivery);
    };
    void handler.then(over, over);
    // It has ended long before, unless its time was over.
    setImmediate(() => {
      if (isOver) return;
      const { id = 'without an id' } = delivery;
      const what = 'goes on after its timeout: no other message of its key begins before it ends';
      this.#report(`the handler of message ${id} ${what}`, undefined);
    });
  }
}

/** The key of a message; those without one, and what cannot be read, share the empty one. */
function keyOf({ frame, name }: Delivery, format: MessageFormat): string {
  if (!Buffer.isBuffer(frame)) return '';
  try {
    return new ReceivedMessage(frame, openFrame(frame, format), { channel: name }).key ?? '';
  } catch {
    return ''; // its handling meets the same error, and says so
  }
}
