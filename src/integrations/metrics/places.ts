import type { Description, RedisBroker, SubscriberInfo } from '../../index.ts';
import { Bounded } from '../bounded.ts';

/** A place that messages are sent to, as it was declared. */
interface DeclaredPlace {
  readonly name: string;
  readonly isTemplate: boolean;
  /** Whether it is called, by a contract with an answer. */
  readonly isCalled: boolean;
}

/**
 * Labels for the places that messages are sent to: a declared name, the template that a name fits,
 * else the name itself, as long as there are few.
 */
export class Places {
  readonly #brokers: readonly RedisBroker[];
  readonly #others: Bounded;
  #names = new Set<string>();
  #templates: readonly { readonly name: string; readonly pattern: RegExp }[] = [];
  #declared: readonly DeclaredPlace[] = [];
  /** Subscribers and contracts when they were last looked at. */
  #seen = '';

  constructor(brokers: readonly RedisBroker[]) {
    this.#brokers = brokers;
    this.#others = new Bounded('other');
  }

  /** Where publishers and contracts send to. */
  get declared(): readonly DeclaredPlace[] {
    return this.#declared;
  }

  /** Looks again at what the brokers have declared, where that has changed. */
  refresh(subscribers: readonly SubscriberInfo[] = this.#brokers.flatMap(subscribersOf)): void {
    const names = subscribers.map(({ name }) => name);
    const seen = names.join('\n');
    if (seen === this.#seen && seen !== '') return;
    this.#seen = seen;
    this.#declared = this.#brokers.map(descriptionOf).flatMap(({ subscribers, publishers }) =>
      [...publishers, ...subscribers.flatMap(({ publishes }) => publishes)].map((one) => ({
        name: one.name,
        isTemplate: one.parameters.length > 0,
        isCalled: one.contract && (one.reply !== null || one.live.reply !== undefined || one.many),
      })),
    );
    this.#names = new Set([...names, ...this.#declared.map(({ name }) => name)]);
    const sentTo = this.#declared.filter((one) => one.isTemplate).map(({ name }) => name);
    const templates = new Set([...names.filter(isTemplate), ...sentTo]);
    this.#templates = [...templates].map((name) => ({ name, pattern: patternOf(name) }));
  }

  labelOf(name: string): string {
    if (this.#names.has(name)) return name;
    // A subscriber may have come since; past the limit nothing is looked for again before the next page.
    if (!this.#others.isFull) this.refresh();
    if (this.#names.has(name)) return name;
    return this.#templates.find(({ pattern }) => pattern.test(name))?.name ?? this.#others.of(name);
  }
}

function isTemplate(name: string): boolean {
  return /\{\w+\}/.test(name);
}

/** `logs.{level}` → all names that fit it. */
function patternOf(template: string): RegExp {
  const parts = template.split(/\{\w+\}/);
  const literal = parts.map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${literal.join('[^.]+')}$`);
}

/** The subscribers of a broker; none where a registration is a mistake, of which `start` tells. */
export function subscribersOf(broker: RedisBroker): readonly SubscriberInfo[] {
  try {
    return broker.subscribers;
  } catch {
    return [];
  }
}

function descriptionOf(broker: RedisBroker): Description {
  try {
    return broker.describe();
  } catch {
    return { subscribers: [], publishers: [] };
  }
}
