import { Command } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { hasKnownShape } from '../../src/transport/redis/send-command.ts';

describe('our command stands in for one of ioredis', () => {
  it('where that looks as it is known: the installed ioredis does', () => {
    expect(hasKnownShape(new Command('publish', ['name', Buffer.from('frame')]))).toBe(true);
  });

  it('not where ioredis keeps something on its commands that ours have not', () => {
    const command = new Command('publish', []);
    Object.assign(command, { priority: 1 });
    expect(hasKnownShape(command)).toBe(false);
  });

  it('not where a method that is called is gone', () => {
    const command = new Command('publish', []);
    Object.defineProperty(command, 'setReplyContext', { value: undefined });
    expect(hasKnownShape(command)).toBe(false);
  });
});
