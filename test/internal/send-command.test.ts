import { Command } from 'ioredis';
import * as five from 'ioredis5';
import * as oldest from 'ioredis5-oldest';
import { describe, expect, it } from 'vitest';
import { hasKnownShape } from '../../src/transport/redis/send-command.ts';

describe('our command stands in for one of ioredis', () => {
  it.each([
    ['ioredis', Command],
    ['the newest ioredis 5', five.Command],
    ['the oldest ioredis that is supported', oldest.Command],
  ])('where that looks as it is known: that of %s does', (_, Class) => {
    expect(hasKnownShape(new Class('publish', ['name', Buffer.from('frame')]))).toBe(true);
  });

  it('not where ioredis keeps something on its commands that ours have not', () => {
    const command = new Command('publish', []);
    Object.assign(command, { priority: 1 });
    expect(hasKnownShape(command)).toBe(false);
  });

  it('not where a method that is called is gone', () => {
    const command = new Command('publish', []);
    Object.defineProperty(command, 'getSlot', { value: undefined });
    expect(hasKnownShape(command)).toBe(false);
  });
});
