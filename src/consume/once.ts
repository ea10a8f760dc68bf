import { uniqueId } from '../internal/ids.ts';
import type { Handled, HandledOnce, Marks } from '../transport/marks.ts';
import type { Delivery, Source } from '../transport/source.ts';

interface Taken {
  readonly mark: HandledOnce;
  readonly owner: string;
}

/** The option `once` of one subscriber: which of its messages were handled, or are being handled. */
export class Once {
  readonly #source: Source;
  readonly #marks: Marks;
  readonly #place: Omit<HandledOnce, 'id'>;
  readonly #life: number;
  readonly #taken = new Map<Delivery, Taken>();

  /** `life`: milliseconds for which a handled message is remembered. */
  constructor(source: Source, marks: Marks, place: Omit<HandledOnce, 'id'>, life: number) {
    this.#source = source;
    this.#marks = marks;
    this.#place = place;
    this.#life = life;
  }

  /** Resolves with 0 where the message is to be handled, and as {@link Marks.takeMark} else. */
  async take(delivery: Delivery, id: string): Promise<number | undefined> {
    const mark = { ...this.#place, id };
    // What comes again was lost by whoever had it. An entry then takes its own mark, since it has its id; of an
    // item, the server knows whether its holder still has it.
    const owner = delivery.id ?? this.#source.holderOf?.(delivery) ?? uniqueId();
    const wait = await this.#marks.takeMark(mark, owner);
    if (wait === 0) this.#taken.set(delivery, { mark, owner });
    return wait;
  }

  /** What is to be remembered as a message that was handled is acknowledged. */
  handled(delivery: Delivery): Handled | undefined {
    const taken = this.#forget(delivery);
    if (taken === undefined) return undefined;
    this.#marks.settledMark(taken.mark, taken.owner);
    return { id: taken.mark.id, life: this.#life };
  }

  /** The message was not handled: whoever reads it next may. */
  free(delivery: Delivery): void {
    const taken = this.#forget(delivery);
    // Where it cannot be freed, it lapses.
    if (taken !== undefined) this.#marks.freeMark(taken.mark, taken.owner).catch(() => undefined);
  }

  #forget(delivery: Delivery): Taken | undefined {
    const taken = this.#taken.get(delivery);
    this.#taken.delete(delivery);
    return taken;
  }
}
