// A bank that fails on demand, in the place of the client of a real one.

/** Cards and what the bank does with them. Any other card pays. */
export const CARDS = {
  declined: 'card-declined',
  /** The first attempt fails. */
  flaky: 'card-flaky',
  /** Every attempt fails, until `bank.isRepaired`. */
  broken: 'card-broken',
};

export class Bank {
  isRepaired = false;
  /** How often each charge was attempted, and how often it was made, by its key. */
  readonly #attempts = new Map<string, number>();
  readonly #charges = new Map<string, number>();

  attempts(key: string): number {
    return this.#attempts.get(key) ?? 0;
  }

  charges(key: string): number {
    return this.#charges.get(key) ?? 0;
  }

  async charge(key: string, card: string): Promise<'paid' | 'declined'> {
    const attempt = this.attempts(key) + 1;
    this.#attempts.set(key, attempt);
    if (card === CARDS.declined) return 'declined';
    if (card === CARDS.flaky && attempt === 1) throw new Error('the bank does not answer');
    if (card === CARDS.broken && !this.isRepaired) throw new Error('the bank knows no such card');
    this.#charges.set(key, this.charges(key) + 1);
    return 'paid';
  }
}
