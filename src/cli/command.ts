import { parseArgs } from 'node:util';
import { similar } from '../internal/checks.ts';
import { UsageError } from './failure.ts';

interface Flag {
  readonly type: 'boolean';
  readonly short?: string;
  /** Its line in `--help`. */
  readonly text: string;
}

interface Setting {
  readonly type: 'string';
  readonly multiple?: true;
  readonly short?: string;
  /** The placeholder of the value in `--help`. */
  readonly value: string;
  readonly text: string;
}

export type Options = Readonly<Record<string, Flag | Setting>>;

type ValuesOf<O extends Options> = {
  readonly [Name in keyof O]?: O[Name] extends Flag
    ? boolean
    : O[Name] extends { multiple: true }
      ? string[]
      : string;
};

interface Definition<O extends Options> {
  /** One word, or two with a space. */
  readonly name: string;
  /** The operands after the name: `<required>` or `[optional]`; the last may end with `…` and then repeats. */
  readonly operands: readonly string[];
  /** One line for the list of commands. */
  readonly summary: string;
  /** The text of `--help` after the summary. */
  readonly text: string;
  readonly options: O;
  /** Resolves with the exit code. */
  run(operands: readonly string[], values: ValuesOf<O>): Promise<number>;
}

/** A command as `main` runs it. {@link command} has made it, which knows the types of the options. */
export interface Command extends Omit<Definition<Options>, 'run'> {
  run(args: readonly string[]): Promise<number>;
}

export function command<const O extends Options>(definition: Definition<O>): Command {
  const all: Options = definition.options;
  return {
    ...definition,
    run: (args) => {
      const { operands, values } = parse(definition, all, args);
      return definition.run(operands, values);
    },
  };
}

/** The end of an error text: `, did you mean '…'?` if a known word is similar to `word`, else empty. */
export function suggestion(word: string, known: readonly string[]): string {
  const meant = known.find((other) => similar(word, other));
  return meant === undefined ? '' : `, did you mean '${meant}'?`;
}

/** The whole number that an option gives, 1 or more. Throws `UsageError` for anything else. */
export function wholeNumber(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(`--${option}: expected a whole number, 1 or more, got '${text}'`);
}

function parse(
  { name, operands: expected }: Definition<Options>,
  options: Options,
  args: readonly string[],
): { operands: string[]; values: object } {
  const { tokens, positionals, values } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const known = Object.keys(options).map((option) => `--${option}`);
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const option = options[token.name];
    if (option === undefined) {
      const hint = /^-[\d.]/.test(token.rawName)
        ? "; put an operand that begins with '-' after '--'"
        : suggestion(token.rawName, known);
      throw new UsageError(
        `${name}: unknown option ${token.rawName}${hint} (known: ${known.join(', ')})`,
      );
    }
    if (option.type === 'boolean' && token.value !== undefined)
      throw new UsageError(`${name}: ${token.rawName} takes no value, got '${token.value}'`);
    if (option.type === 'string' && token.value === undefined)
      throw new UsageError(`${name}: ${token.rawName} needs a value: <${option.value}>`);
  }
  const required = expected.filter((operand) => operand.startsWith('<')).length;
  const repeats = expected.at(-1)?.endsWith('…') === true;
  if (positionals.length < required)
    throw new UsageError(`${name}: ${expected[positionals.length]} is missing`);
  if (positionals.length > expected.length && !repeats) {
    const wanted = expected.length === 0 ? 'no operands' : expected.join(' ');
    throw new UsageError(
      `${name}: unexpected '${positionals[expected.length]}', expected ${wanted}`,
    );
  }
  return { operands: positionals, values };
}
