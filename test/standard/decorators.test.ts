import { fromType, SetupError, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { decoratorCases, newMemoryBroker } from '../decorators/cases.ts';

decoratorCases('standard');

class Typed {
  @subscriber({ channel: 'order', schema: fromType })
  order(body: string): string {
    return body;
  }
}

it('fromType is refused, for want of emitted types', () => {
  const broker = newMemoryBroker();
  expect(() => broker.register(new Typed())).toThrow(SetupError);
  expect(() => broker.register(new Typed())).toThrow(/Typed\.order.*emitDecoratorMetadata/);
});

/** A function, since the class throws when it is defined. The older dialect has no syntax for it. */
function definePrivate(): unknown {
  class Wrong {
    @subscriber('x')
    #there(): void {}
    call(): void {
      this.#there();
    }
  }
  return Wrong;
}

it('a private method is refused, when the class is defined', () => {
  expect(definePrivate).toThrow(SetupError);
  expect(definePrivate).toThrow(/@subscriber.*'#there' is private/);
});
