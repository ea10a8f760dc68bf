/** Who listens to what on one connection: one SUBSCRIBE per name, however many listen here. */
export class Listeners<Sink> {
  readonly #sinks = new Map<string, Sink[]>();

  /** True when `name` is new. */
  add(name: string, sink: Sink): boolean {
    const sinks = this.#sinks.get(name);
    // Lists are replaced, never changed, so that one may be walked while a sink leaves.
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
