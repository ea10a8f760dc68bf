// A requester and a responder of one contender, in two processes.

export class Pair {
  #server;
  #names;

  static async open({ server, workers }, name, kinds) {
    const [responder, requester] = await Promise.all([workers.start(name), workers.start(name)]);
    const pair = new Pair(name, responder, requester, server, server.names(name, kinds));
    await pair.serve();
    await pair.connect(1);
    pair.pause();
    return pair;
  }

  constructor(name, responder, requester, server, names) {
    Object.assign(this, { name, responder, requester });
    this.#server = server;
    this.#names = names;
  }

  serve(idle) {
    return this.responder.ask('serve', { names: this.#names, idle });
  }

  stopServing() {
    return this.responder.ask('stop');
  }

  connect(count) {
    return this.requester.ask('connect', { names: this.#names, count });
  }

  disconnect() {
    return this.requester.ask('disconnect');
  }

  async warmUp(kind, milliseconds) {
    await this.measure({ kind, size: 100, inFlight: 64, milliseconds });
  }

  /** Calls per second, and what each call cost whom: microseconds of CPU, and bytes that Redis sent. */
  async measure({ kind, size, inFlight, milliseconds }) {
    await this.resume(kind);
    const before = await this.#counters();
    const load = await this.requester.ask('load', { kind, size, inFlight, milliseconds });
    const after = await this.#counters();
    this.pause();
    if (kind === 'stream') await this.#server.emptyStream(this.#names.stream);
    const { calls, cpu: requester, ...rest } = load;
    const per = (what) => (after[what] - before[what]) / calls;
    return {
      ...rest,
      requester,
      responder: per('responder'),
      redis: per('cpu'),
      sent: per('sent'),
    };
  }

  /** What `measure` gives, and where both processes' time went meanwhile. */
  async profile(options) {
    const sides = [this.requester, this.responder];
    await Promise.all(sides.map((side) => side.ask('profile')));
    const measured = await this.measure(options);
    const [requester, responder] = await Promise.all(sides.map((side) => side.ask('profiled')));
    return { measured, shares: { requester, responder } };
  }

  /** Calls per second in a closed loop of so many, beside the beat that `pace` needs. */
  saturate(options) {
    return this.#emptied(options, 'saturate');
  }

  /** How long calls take that start by a schedule. */
  pace(options) {
    return this.#emptied(options, 'pace');
  }

  /** FastStream polls its lists, which would cost the others time while they are measured. */
  pause() {
    if (this.name !== 'faststream') return;
    this.responder.signal('SIGSTOP');
    this.requester.signal('SIGSTOP');
  }

  /** Reads that it takes for timed out when it wakes up are behind it before it is measured. */
  async resume(kind) {
    if (this.name !== 'faststream') return;
    this.responder.signal('SIGCONT');
    this.requester.signal('SIGCONT');
    await this.requester.ask('load', { kind, inFlight: 1, milliseconds: 30 });
    await this.requester.ask('load', { kind, inFlight: 1, milliseconds: 30 });
  }

  end() {
    this.responder.end();
    this.requester.end();
  }

  async #emptied(options, operation) {
    const result = await this.requester.ask(operation, options);
    if (options.kind === 'stream') await this.#server.emptyStream(this.#names.stream);
    return result;
  }

  async #counters() {
    const [counters, responder] = await Promise.all([
      this.#server.counters(),
      this.responder.ask('cpu'),
    ]);
    return { ...counters, responder };
  }
}
