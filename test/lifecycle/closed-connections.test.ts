import { expect, it } from 'vitest';
import { Connections } from '../../src/transport/redis/connections.ts';
import { TIMINGS } from '../../src/transport/timings.ts';
import { redisUrl } from '../support/redis.ts';

it('no connection is opened after a stop: nobody would close it', async () => {
  const connections = new Connections(redisUrl(), TIMINGS);
  await connections.connect();
  const opening = connections.open({});
  connections.close();
  await expect(opening).rejects.toMatchObject({ code: 'CONNECTION' });
  await expect(connections.open({})).rejects.toMatchObject({ code: 'BROKER_CLOSED' });
});
