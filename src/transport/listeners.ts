/** The sinks of one connection by name: one SUBSCRIBE for each name, however many listen to it. */
export class Listeners<Sink> {
  readonly #sinks = new Map<string, Sink[]>();

  /** True when `name` is new. */
  add(name: string, sink: Sink): boolean {
    const sinks = this.#sinks.get(name);
    // The array is replaced, never changed: a sink may leave while it is iterated.
    this.#sinks.set(name, sinks === undefined ? [sink] : [...sinks, sink]);
    return sinks === undefined;
  }

  /** True when nobody listens to `name` any more. */
  remove(name: string, sink: Sink): boolean {
    const sinks = this.#sinks.get(name)?.filter((other) => other !== sink);
    if (sinks === undefined) return false;
    if (sinks.length > 0) this.#sinks.set(name, sinks);
    else this.#sinks.delete(name);
    return sinks.length === 0;
  }

  get(name: string): readonly Sink[] | undefined {
    return this.#sinks.get(name);
  }

  names(): string[] {
    return [...this.#sinks.keys()];
  }
}
