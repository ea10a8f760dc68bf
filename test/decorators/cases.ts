// What decorators promise in either dialect. Each test project compiles these classes in its own.
import { publisher, SetupError, subscriber, type MessageContext, type RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { unique } from '../support/redis.ts';

/** For what the compiler refuses already, and users without it do. */
// oxlint-disable-next-line typescript/no-explicit-any -- a decorator for anything at all
type AnyDecorator = (...args: any[]) => any;
const anywhere = subscriber as unknown as (address: string) => AnyDecorator;
const publishAnywhere = publisher as unknown as (address: string) => AnyDecorator;

export const newMemoryBroker = (): RedisBroker => newBroker(`memory://${unique()}`);

export const ask = (broker: RedisBroker, channel: string, body: unknown = 1): Promise<unknown> =>
  broker.publish(body, { channel, rpc: true, timeout: 20_000 });

export function decoratorCases(dialect: 'legacy' | 'standard'): void {
  describe(`decorators, ${dialect} dialect`, () => {
    it('call the method on the registered instance, with the body and the context', async () => {
      class Counter {
        constructor(readonly step: number) {}
        @subscriber('add')
        add(body: number, ctx: MessageContext): object {
          return { sum: body + this.step, source: ctx.message.source };
        }
      }
      const broker = newMemoryBroker();
      broker.register(new Counter(5));
      await broker.start();
      expect(await ask(broker, 'add', 2)).toEqual({ sum: 7, source: { channel: 'add' } });
    });

    it('connect what a parent class has decorated', async () => {
      class Base {
        @subscriber('who')
        who(): string {
          return this.constructor.name;
        }
      }
      class Middle extends Base {}
      class Child extends Middle {
        @subscriber('own')
        own(): string {
          return 'own';
        }
      }
      const broker = newMemoryBroker();
      broker.register(new Child());
      await broker.start();
      expect(await ask(broker, 'who')).toBe('Child');
      expect(await ask(broker, 'own')).toBe('own');
      expect(broker.subscribers).toHaveLength(2);
    });

    it('leave a parent class without what its child has decorated', async () => {
      class Base {
        @subscriber('base')
        base(): void {}
      }
      class Child extends Base {
        @subscriber('child')
        child(): void {}
      }
      const broker = newMemoryBroker();
      broker.register(new Base());
      expect(broker.subscribers.map(({ title }) => title)).toEqual(['Base.base']);
      broker.register(new Child());
      expect(broker.subscribers).toHaveLength(3);
    });

    it('call an override that is not decorated again', async () => {
      class Base {
        @subscriber('greet')
        greet(): string {
          return 'base';
        }
      }
      class Child extends Base {
        override greet(): string {
          return `child of ${super.greet()}`;
        }
      }
      const broker = newMemoryBroker();
      broker.register(new Child());
      await broker.start();
      expect(await ask(broker, 'greet')).toBe('child of base');
      expect(broker.subscribers).toHaveLength(1);
    });

    it('replace the address of a parent where the child decorates the method again', async () => {
      class Base {
        @subscriber('old')
        greet(): string {
          return 'base';
        }
      }
      class Child extends Base {
        @subscriber('new')
        override greet(): string {
          return 'child';
        }
      }
      const broker = newMemoryBroker();
      broker.register(new Child());
      await broker.start();
      expect(broker.subscribers.map(({ address }) => address)).toEqual(["channel 'new'"]);
      expect(await ask(broker, 'new')).toBe('child');
      expect(await broker.publish(1, 'old')).toBe(0);
    });

    it('stand several on one method', async () => {
      class Both {
        @subscriber('first')
        @subscriber({ list: 'second' })
        @subscriber({ stream: 'third', group: 'g' })
        where(_: unknown, ctx: MessageContext): object {
          return Object.keys(ctx.message.source);
        }
      }
      const broker = newMemoryBroker();
      broker.register(new Both());
      await broker.start();
      const call = { rpc: true, timeout: 20_000 } as const;
      expect(await broker.publish(1, { channel: 'first', ...call })).toEqual(['channel']);
      expect(await broker.publish(1, { list: 'second', ...call })).toEqual(['list']);
      expect(await broker.publish(1, { stream: 'third', ...call })).toEqual(['stream']);
    });

    it('send on with @publisher what a subscribed method returns', async () => {
      class Onward {
        @subscriber('in')
        @publisher('out')
        pass(body: number): number {
          return body + 1;
        }
      }
      const broker = newMemoryBroker();
      const heard: unknown[] = [];
      broker.subscriber('out', (body) => void heard.push(body));
      broker.register(new Onward());
      await broker.start();
      await broker.publish(1, 'in');
      await eventually(() => expect(heard).toEqual([2]));
    });

    it('of one broker connect a class to that broker alone', async () => {
      const [mine, other] = [newMemoryBroker(), newMemoryBroker()];
      class Bound {
        @mine.subscriber('here')
        here(): string {
          return 'mine';
        }
      }
      expect(() => other.register(new Bound())).toThrow(SetupError);
      expect(() => other.register(new Bound())).toThrow(/Bound/);
      mine.register(new Bound());
      await mine.start();
      expect(await ask(mine, 'here')).toBe('mine');
    });

    it('of one broker are missed at its start where no instance was registered', async () => {
      const broker = newMemoryBroker();
      class Forgotten {
        @broker.subscriber('here')
        handleIt(): string {
          return 'there';
        }
      }
      await expect(broker.start()).rejects.toThrow(SetupError);
      await expect(broker.start()).rejects.toThrow(/'handleIt'.*register/);
      broker.register(Forgotten);
      await broker.start();
      expect(await ask(broker, 'here')).toBe('there');
    });

    it('work on a class that register instantiates, and on symbols as names', async () => {
      const method = Symbol('method');
      class Made {
        readonly value = 'made';
        @subscriber('made')
        [method](): string {
          return this.value;
        }
      }
      const broker = newMemoryBroker();
      broker.register(Made);
      await broker.start();
      expect(await ask(broker, 'made')).toBe('made');
    });

    it('connect an instance once, however often it is registered, and each instance', async () => {
      class Listener {
        heard = 0;
        @subscriber('tick')
        tick(): void {
          this.heard++;
        }
      }
      const broker = newMemoryBroker();
      const [one, two] = [new Listener(), new Listener()];
      broker.register(one, one);
      broker.register(one);
      broker.register(two);
      expect(broker.subscribers).toHaveLength(2);
      await broker.start();
      await broker.publish(1, 'tick');
      await broker.publish(1, 'tick');
      await eventually(() => expect([one.heard, two.heard]).toEqual([2, 2]));
    });

    it.each([
      [
        'static',
        () => {
          class Wrong {
            @anywhere('x')
            static there(): void {}
            readonly here = 1;
          }
          return Wrong;
        },
        /@subscriber.*'there' is static/,
      ],
      [
        'a getter',
        () => {
          class Wrong {
            @anywhere('x')
            get there(): number {
              return 1;
            }
          }
          return Wrong;
        },
        /@subscriber.*method.*'there'/,
      ],
      [
        'a field',
        () => {
          class Wrong {
            @anywhere('x')
            there = (): void => {};
          }
          return Wrong;
        },
        /@subscriber.*method.*'there'/,
      ],
      [
        'a class',
        () => {
          @anywhere('x')
          class There {
            readonly here = 1;
          }
          return There;
        },
        /@subscriber.*method.*'There' is a class/,
      ],
      [
        'static, under @publisher',
        () => {
          class Wrong {
            @publishAnywhere('x')
            static there(): void {}
            readonly here = 1;
          }
          return Wrong;
        },
        /@publisher.*'there' is static/,
      ],
    ])('refuse what is %s, when the class is defined', (_, define, says) => {
      expect(define).toThrow(SetupError);
      expect(define).toThrow(says);
    });

    it('refuse a class whose methods only publish', () => {
      class Mute {
        @publisher('out')
        speak(): number {
          return 1;
        }
      }
      expect(() => newMemoryBroker().register(new Mute())).toThrow(SetupError);
      expect(() => newMemoryBroker().register(new Mute())).toThrow(/Mute.*@publisher/);
    });
  });
}
