// Makes or answers calls with ids, writes down what happens, and is killed by its parent.
// argv: url, 'caller' or 'responder', address (JSON), its own name, first and last number of a caller
import { RedisBroker, type RedisBroker as Broker } from 'redstart';
import { Redis } from 'ioredis';
import { timingsOption } from '../../../src/transport/timings.ts';
import { missedSooner } from '../../support/timings.ts';

const [url = '', role = '', place = '', self = '', first = '0', last = '0'] = process.argv.slice(2);
const say = (what: string): void => void process.send?.(what);
const address = JSON.parse(place) as { stream: string };

async function respond(broker: Broker, log: Redis): Promise<void> {
  broker.observe({
    // The answer is kept by now, and was sent.
    answered: ({ message }) => void log.rpush(`runs:${message.messageId}`, `answered ${self}`),
  });
  broker.subscriber({ ...address, concurrency: 8 }, async (n: unknown, ctx) => {
    const { messageId } = ctx.message;
    await log.rpush(`runs:${messageId}`, `begun ${self}`);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    await log.rpush(`runs:${messageId}`, `ended ${self}`);
    return `receipt of ${String(n)} by ${self}, ${Math.random()}`;
  });
  await broker.start();
  say('started');
}

async function ask(broker: Broker, log: Redis): Promise<void> {
  await broker.connect();
  say('started');
  const { stream, list } = address as { stream: string; list?: string };
  const to = (list === undefined ? { stream } : { list }) as { stream: string };
  let next = Number(first);
  const work = async (): Promise<void> => {
    while (next <= Number(last)) {
      const n = next++;
      const id = `charge-${n}`;
      // What was answered before this process was restarted is asked for again, in one case of four.
      if ((await log.exists(`answers:${id}`)) === 1 && Math.random() > 0.25) continue;
      for (;;) {
        try {
          const answer = await broker.publish(n, { ...to, rpc: true, id, timeout: 3_000 });
          await log.rpush(`answers:${id}`, String(answer));
          if (Math.random() < 0.25)
            await log.rpush(`answers:${id}`, String(await broker.answer(id, to)));
          break;
        } catch (error) {
          if ((error as { code?: string }).code !== 'RPC_TIMEOUT') throw error;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  say('done');
}

async function main(): Promise<void> {
  const log = new Redis(url);
  // A lease is renewed after a third of it: a process that is held up for some seconds keeps it.
  const timings = { ...missedSooner(10), lease: 6_000 };
  const options = { logger: false, [timingsOption]: timings } as const;
  const broker = new RedisBroker(url, options);
  await (role === 'caller' ? ask(broker, log) : respond(broker, log));
}

main().catch((error: unknown) => say(`error: ${String(error)}`));
