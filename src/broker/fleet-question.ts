import { kindOf, type Kind } from '../transport/address.ts';

// What the processes of a fleet ask each other, as JSON on a channel.

export type Question = { readonly ask: 'status' } | Order;

/** Pauses or resumes the subscribers of a place. */
export interface Order {
  readonly ask: 'pause' | 'resume';
  readonly kind: Kind;
  /** With prefix. */
  readonly name: string;
  /** Undefined: every group. */
  readonly group?: string | undefined;
  /** Undefined: every process. */
  readonly process?: string | undefined;
  /** Who asks. */
  readonly by?: string | undefined;
}

/** What a process answers to an order. */
export interface Done {
  readonly subscribers: number;
  readonly problem?: string;
}

/** A question as it was sent. */
export interface Asked {
  readonly question: Question;
  /** The answer goes to this name below the channel of questions. */
  readonly to: string;
  /** The id of the process that asks. */
  readonly from: string;
}

/** The longest question that is read, in bytes. */
const MAX_QUESTION = 4_096;

/** Characters of the name of whoever asks. */
const MAX_BY = 100;

/** The question in a frame; undefined for anything else. */
export function questionIn(frame: Buffer): Asked | undefined {
  if (frame.length > MAX_QUESTION) return undefined;
  const found = jsonIn(frame);
  if (typeof found !== 'object' || found === null) return undefined;
  const given = found as Readonly<Record<string, unknown>>;
  const textAt = (key: string): string | undefined =>
    typeof given[key] === 'string' ? given[key] : undefined;
  const [to, from, name] = ['to', 'from', 'name'].map(textAt);
  const { ask } = given;
  const kind = kindOf(given['kind']);
  if (to === undefined || !/^\w{1,64}$/.test(to) || from === undefined) return undefined;
  if (ask === 'status') return { question: { ask }, to, from };
  if ((ask !== 'pause' && ask !== 'resume') || kind === undefined || name === undefined)
    return undefined;
  // It is logged.
  const by = textAt('by')?.replaceAll(/\p{C}/gu, '').slice(0, MAX_BY);
  const order = {
    ask,
    kind,
    name,
    group: textAt('group'),
    process: textAt('process'),
    by,
  } as const;
  return { question: order, to, from };
}

export function jsonIn(frame: Buffer): unknown {
  try {
    return JSON.parse(frame.toString()) as unknown;
  } catch {
    return undefined;
  }
}
