// This version beside an older one on one Redis: calls, streams of answers, dead letters, groups and a rolling
// restart. Part of `npm run full`; it needs the history of git.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { olderVersions, peers, type Peer, type Peers, type Version } from './peers.ts';
import type { Place } from './programs/peer.ts';

const older = olderVersions();
const hasHistory = older.length > 0;
if (!hasHistory) older.push({ commit: 'none: no history of git', sharesReliableLists: false });

/** The machine may be busy. */
const timeout = 120_000;

const PAIRS: [Version, Version][] = [
  ['old', 'new'],
  ['new', 'old'],
];
const PLACES: Place[] = ['channel', 'list', 'reliable', 'group'];

describe.runIf(isLong && hasHistory).each(older)('this version and $commit', (version) => {
  const { commit, sharesReliableLists } = version;
  /** What is shared where processes of both versions do the same work. */
  const shared = PLACES.filter((place) => place !== 'reliable' || sharesReliableLists);
  let both: Peers;
  beforeAll(async () => {
    both = await peers(commit);
  });
  afterAll(() => both.remove());

  /** Starts processes that share a prefix. */
  function team(...versions: Version[]): { prefix: string; started: Peer[] } {
    const prefix = `${unique('mixed')}:`;
    return { prefix, started: versions.map((each) => both.start(each, redisUrl(), prefix)) };
  }

  describe.each(PAIRS)('%s answers, %s calls', (answering, calling) => {
    it(
      'over channels, lists, reliable lists and groups: values, errors, headers',
      { timeout },
      async () => {
        const [service, caller] = team(answering, calling).started as [Peer, Peer];
        await service.tell('serve', PLACES);
        for (const place of PLACES) {
          expect({
            place,
            answer: await caller.tell('call', place),
            refused: await caller.tell('refusal', place, 'refused'),
            broken: await caller.tell('refusal', place, 'broken'),
          }).toMatchObject({
            place,
            answer: { body: { answered: 'hello' }, correlationId: 'c-1' },
            refused: {
              name: 'RpcError',
              code: 'REFUSED',
              message: 'not today',
              data: { left: 3 },
            },
            broken: { name: 'RemoteError', remoteName: 'RangeError', message: 'out of range' },
          });
        }
        expect(await caller.tell('nobody')).toMatchObject({ name: 'NoRespondersError' });
      },
    );

    it('with many answers, more than are on their way at once', { timeout }, async () => {
      const [service, caller] = team(answering, calling).started as [Peer, Peer];
      await service.tell('serve', PLACES);
      expect(await caller.tell('many', 1_000)).toBe(499_500);
    });

    it('gathers the answers of both', { timeout }, async () => {
      const { started } = team('old', 'new', calling);
      const [old, current, caller] = started as [Peer, Peer, Peer];
      await Promise.all([old.tell('serve', shared), current.tell('serve', shared)]);
      expect(await caller.tell('gather')).toMatchObject({ answers: 2, expected: 2, missing: 0 });
    });
  });

  describe.each(PAIRS)('%s gives up, %s looks at the dead letters', (failing, looking) => {
    it.each(['reliable', 'group'] as const)(
      'of a %s, and sends them back',
      { timeout },
      async (place) => {
        const [consumer, operator] = team(failing, looking).started as [Peer, Peer];
        await consumer.tell('fail');
        await operator.tell('publish', place, 'bad', { 'x-mark': 'kept' });
        const letters = await eventually(async () => {
          const found = await operator.tell('letters', place);
          expect(found).toHaveLength(1);
          return found;
        });
        expect(letters).toMatchObject([
          { body: 'bad', error: 'RangeError: no bad', deliveries: 2, mark: 'kept' },
        ]);
        expect(await operator.tell('redrive', place)).toBe(1);
        // It fails again, and is there once.
        await eventually(async () => {
          expect(await operator.tell('letters', place)).toHaveLength(1);
        });
      },
    );
  });

  it.each(PAIRS)(
    'what %s held when it was killed, %s handles',
    { timeout },
    async (dying, other) => {
      const { prefix, started } = team(dying, other);
      const [victim, heir] = started as [Peer, Peer];
      const client = rawClient();
      const kept = shared.filter((place) => place === 'reliable' || place === 'group');
      await victim.tell('work', 'hang', kept);
      for (const place of kept) await heir.tell('publish', place, 'x', {});
      await eventually(async () => {
        expect(await victim.tell('called')).toHaveLength(kept.length);
      });
      await heir.tell('work', '', kept);
      await victim.kill();
      await eventually(async () => {
        const handled = await client.smembers(`${prefix}handled`);
        expect(handled.toSorted()).toEqual(kept.map((place) => `${place} x`).toSorted());
      }, 60_000);
    },
  );

  it(
    'a rolling restart under load, old, mixed, new, and back, loses nothing',
    { timeout },
    async () => {
      const { prefix, started } = team('old', 'old', 'old', 'new');
      const [first, second, ...senders] = started as [Peer, Peer, Peer, Peer];
      const client = rawClient();
      const places = shared.filter((place) => place !== 'channel');
      await Promise.all([first.tell('work', '', places), second.tell('work', '', places)]);
      for (const [n, sender] of senders.entries()) await sender.tell('load', `sender${n}`, places);
      const sizeOf = (): Promise<number> => client.scard(`${prefix}handled`);
      const moreWork = async (): Promise<void> => {
        const before = await sizeOf();
        await eventually(async () => (await sizeOf()) > before + 150, 60_000);
      };

      const running = [first, second];
      for (const next of ['new', 'new', 'old', 'old', 'new', 'new'] as const) {
        await moreWork();
        const started = both.start(next, redisUrl(), prefix);
        await started.tell('work', '', places);
        running.push(started);
        await moreWork();
        expect(await running.shift()?.end()).toBe(0);
      }
      const results = await Promise.all(senders.map((sender) => sender.tell('endLoad')));
      expect(results.flatMap(({ failed }) => failed)).toEqual([]);
      const sent = results.flatMap(({ sent: each }) => each);
      await eventually(async () => {
        const handled = new Set(await client.smembers(`${prefix}handled`));
        expect(sent.filter((one) => !handled.has(one))).toEqual([]);
      }, 60_000);
    },
  );
});
