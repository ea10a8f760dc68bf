/** The option `key`: a text, or a function that makes it of each body. */
import { placeOf, type Contract, type KeyOfEach } from '../api/contract.ts';
import { SetupError } from '../errors.ts';
import { got, nonEmptyText, wrong, type Check } from '../internal/checks.ts';
import { MAX_NAME } from '../message/message.ts';

export type Key = string | KeyOfEach;

export const key: Check = (value, name, where) => {
  if (typeof value !== 'function') checkKey(value, name, where);
};

/** Throws where a function is given for one message, whose key is known. */
export function forbidKeyFunction(given: Key | undefined, where: string): void {
  if (typeof given !== 'function') return;
  throw new SetupError(
    `${where}: 'key' must be a string, got ${got(given)}: a function of the body is for batches, pipelines and contracts`,
  );
}

/** The key of one message of these options. */
export function keyIn(
  given: Key | undefined,
  body: unknown,
  index: number,
  where: string,
): string | undefined {
  if (typeof given !== 'function') return given;
  const made: unknown = given(body, index);
  checkKey(made, 'key', where);
  return made as string;
}

/** The options of one message by a contract, whose key is made of the body. */
export function keyed(options: unknown, contract: Contract, body: unknown): unknown {
  const { key: make } = contract;
  if (make === undefined) return options;
  const key = keyIn(make, body, 0, `the contract of ${placeOf(contract)}`);
  return { ...(options as object), key };
}

/** Beside a contract that makes the key of the body, none can be given. */
export function keyBeside(
  contract: Contract,
  more: object | undefined,
  verb: string,
): { key?: Key } {
  if (contract.key === undefined) return {};
  if (more !== undefined && 'key' in more && more.key !== undefined)
    throw new SetupError(
      `${verb}: 'key' is set by the contract of ${placeOf(contract)}: leave it out`,
    );
  return { key: contract.key };
}

function checkKey(value: unknown, name: string, where: string): void {
  nonEmptyText(value, name, where);
  const text = value as string;
  // No character has more than three bytes for each of its units.
  if (text.length * 3 <= MAX_NAME || Buffer.byteLength(text) <= MAX_NAME) return;
  throw wrong(where, name, `a string of at most ${MAX_NAME} bytes`, value, 'string');
}
