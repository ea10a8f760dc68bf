import { subscriber, type MessageContext } from 'redstart';
import { greet, greeted } from './contracts.ts';

const UNWANTED = new Set(['Mallory']);

export class Greetings {
  /** How often each name was greeted, since the start of this process. */
  readonly counts = new Map<string, number>();

  @subscriber(greet)
  async greet({ name }: { name: string }, ctx: MessageContext): Promise<{ text: string }> {
    if (UNWANTED.has(name)) throw greet.error('NOT_WELCOME', { name });
    await ctx.publish({ name }, greeted);
    ctx.logger.info({ name }, 'greeted');
    return { text: `Hello, ${name}` };
  }

  @subscriber(greeted)
  count({ name }: { name: string }): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}
