import type { Builder } from './build.ts';
import type { Endpoint } from '../consume/running-subscriber.ts';
import { messageOf } from '../errors.ts';
import { settledWithin } from '../internal/deferred.ts';
import type { Logger } from '../internal/logger.ts';
import type { Line } from '../rpc/session.ts';
import type { Plan } from './plan.ts';
import type { Run, Subscriber } from './subscriber.ts';
import type { Vitals } from '../consume/subscription.ts';
import { FillingSource } from '../consume/batch-source.ts';
import type { Report } from '../transport/transport.ts';

/** Milliseconds that a stop waits for what is still being opened. */
export const OPEN_PATIENCE = 5_000;

/** What runs for one plan. */
interface Running extends Run {
  readonly plan: Plan;
  readonly endpoint: Endpoint;
}

export interface RunnerHost {
  readonly builder: Builder;
  readonly logger: Logger;
  /** Milliseconds that running handlers have when they are stopped. */
  readonly patience: number;
  readonly reportFor: (name: string) => Report;
  readonly line: () => Line | undefined;
}

/** How one subscriber is doing: {@link Vitals}, or that it does not run, and perhaps why. */
export type SubscriberVitals =
  | Vitals
  | { readonly state: 'starting' | 'stopped' | 'failed'; error?: string };

/** Runs plans: opens their sources, and stops them again. */
export class Runner {
  readonly #host: RunnerHost;
  readonly #running = new Map<Subscriber, Running>();
  /** Subscribers whose subscription could not be made, and why. */
  readonly #failures = new Map<Subscriber, unknown>();

  constructor(host: RunnerHost) {
    this.#host = host;
  }

  has(subscriber: Subscriber): boolean {
    return this.#running.has(subscriber);
  }

  vitalsOf(subscriber: Subscriber): SubscriberVitals {
    const running = this.#running.get(subscriber);
    if (running !== undefined) return running.endpoint.vitals ?? { state: 'starting' };
    if (!this.#failures.has(subscriber)) return { state: 'stopped' };
    return { state: 'failed', error: messageOf(this.#failures.get(subscriber)) };
  }

  /** Resolves when the subscription stands. */
  run(planned: Plan, line: Line): Promise<void> {
    const { builder, reportFor } = this.#host;
    const endpoint = builder.endpoint(planned, line);
    const ready = (async () => {
      const source = await line.transport.open(planned.source, reportFor(planned.name));
      const { maxWait } = planned;
      const filled = maxWait === 0 ? source : new FillingSource(source, maxWait);
      endpoint.run(filled, builder.pipeline(planned, endpoint));
    })();
    const running: Running = {
      plan: planned,
      endpoint,
      ready,
      stop: () => this.#stopEarly(running),
    };
    for (const { subscriber } of planned.members) {
      subscriber.runs.add(running);
      this.#running.set(subscriber, running);
      this.#failures.delete(subscriber);
    }
    // The caller has `ready` itself.
    ready.catch((error: unknown) => {
      this.#forget(running);
      for (const { subscriber } of planned.members) this.#failures.set(subscriber, error);
    });
    return ready;
  }

  /** All at once; says what went wrong. */
  async stop(): Promise<PromiseSettledResult<void>[]> {
    const running = new Set(this.#running.values());
    const results = await Promise.allSettled([...running].map((run) => this.#stopRun(run)));
    for (const run of running) this.#forget(run);
    this.#failures.clear();
    return results;
  }

  /**
   * Whether nobody else could answer a message here, as far as this broker knows: all who read a
   * channel or a stream get the same message. Of several that never answer, the first says so.
   */
  isLastResort(planned: Plan, name: string): boolean | Promise<boolean> {
    const { source, noReply } = planned;
    if (source.kind === 'list' || (source.kind === 'stream' && source.group !== undefined))
      return true;
    const hearing = [...new Set([...this.#running.values()].map((running) => running.plan))].filter(
      (other) => other.source.kind === source.kind && other.hears(name),
    );
    if (noReply && hearing[0] !== planned) return false;
    const isLast = hearing.every((other) => other === planned || other.noReply);
    const line = this.#host.line();
    if (source.kind === 'channel' || !isLast || line === undefined) return isLast;
    return line.transport.hasGroups(name).then((hasGroups) => !hasGroups);
  }

  #forget(running: Running): void {
    for (const { subscriber } of running.plan.members) {
      subscriber.runs.delete(running);
      if (this.#running.get(subscriber) === running) this.#running.delete(subscriber);
    }
  }

  /** Handlers that share a reader stop it together: the last one does. */
  async #stopEarly(running: Running): Promise<void> {
    if (running.plan.members.some(({ subscriber }) => !subscriber.stopped)) return;
    running.endpoint.halt();
    await this.#stopRun(running);
    this.#forget(running);
  }

  async #stopRun({ ready, endpoint }: Running): Promise<void> {
    // One that is still being opened has no message yet, and cannot be closed before it is open.
    const isOpen = await settledWithin(ready, OPEN_PATIENCE);
    if (isOpen) await endpoint.stop(this.#host.patience);
  }
}
