type Arg = string | number | Buffer;

/** A blocking read of one list or stream, taken apart so that it can be sent together with others. */
export interface BlockingRead {
  /** Reads of one kind can be sent as one command. */
  readonly kind: string;
  readonly key: string;
  /** Milliseconds that it may wait. */
  readonly wait: number;
  /** The most that it brings. */
  readonly count: number;
  /** Where to read a stream from. */
  readonly from: Arg;
  /** The same read without waiting, of at most so many. */
  readonly alone: (count: number) => [name: string, args: Arg[]];
  /** One command for this read and others of its kind, which brings one of each at most. Undefined: Redis has none. */
  readonly together: ((all: readonly BlockingRead[], wait: number) => [string, Arg[]]) | undefined;
  /** The reply to `together` by keys: for each, as the blocking read would have it. */
  readonly split: (reply: unknown) => [key: string, reply: unknown][];
  /** The reply to `alone`, as the blocking read would have it. */
  readonly whole: (reply: unknown) => unknown;
}

const asItIs = (reply: unknown): unknown => reply;
/** XREAD and XREADGROUP: a row for each stream that had something. */
const ofStreams = (reply: unknown): [string, unknown][] =>
  (reply as [key: Buffer, ...unknown[]][]).map((row) => [row[0].toString(), [row]]);
/** BLMPOP and BLPOP: of one list. */
const ofList = (reply: unknown): [string, unknown][] => [
  [(reply as [key: Buffer])[0].toString(), reply],
];

/** Undefined for a command that does not block. */
export function blockingRead(name: string, args: readonly Arg[]): BlockingRead | undefined {
  switch (name) {
    case 'xread':
    case 'xreadgroup':
      return streamRead(name, args);
    case 'blmpop':
      return listRead(args);
    case 'blpop':
      return oldListRead(args);
    case 'blmove':
      return move(args);
    default:
      return undefined;
  }
}

/** XREAD or XREADGROUP `[GROUP g c] COUNT n BLOCK ms [NOACK] STREAMS key id`. */
function streamRead(name: string, args: readonly Arg[]): BlockingRead | undefined {
  const at = args.indexOf('BLOCK');
  if (at < 0) return undefined;
  const count = args.indexOf('COUNT');
  const [, key, from] = args.slice(args.indexOf('STREAMS')) as [string, string, Arg];
  const group = args.slice(0, count);
  const rest = args.slice(at + 2, args.indexOf('STREAMS') + 1);
  return {
    kind: [name, ...group, ...rest].join(' '),
    key,
    wait: Number(args[at + 1]),
    count: Number(args[count + 1]),
    from,
    alone: (max) => [name, [...group, 'COUNT', max, ...rest, key, from]],
    together: (all, wait) => [
      name,
      [
        ...group,
        'COUNT',
        1,
        'BLOCK',
        wait,
        ...rest,
        ...all.map((one) => one.key),
        ...all.map((one) => one.from),
      ],
    ],
    split: ofStreams,
    whole: asItIs,
  };
}

/** BLMPOP `seconds 1 key LEFT COUNT n`. */
function listRead([seconds, , key, , , count]: readonly Arg[]): BlockingRead {
  return {
    kind: 'blmpop',
    key: key as string,
    wait: Number(seconds) * 1_000,
    count: Number(count),
    from: '',
    alone: (max) => ['lpop', [key as string, max]],
    together: (all, wait) => [
      'blmpop',
      [wait / 1_000, all.length, ...all.map((one) => one.key), 'LEFT', 'COUNT', 1],
    ],
    split: ofList,
    whole: (items) => (items === null ? null : [key, items]),
  };
}

/** BLPOP `key seconds`. */
function oldListRead([key, seconds]: readonly Arg[]): BlockingRead {
  return {
    kind: 'blpop',
    key: key as string,
    wait: Number(seconds) * 1_000,
    count: 1,
    from: '',
    alone: () => ['lpop', [key as string]],
    together: (all, wait) => ['blpop', [...all.map((one) => one.key), wait / 1_000]],
    split: ofList,
    whole: (item) => (item === null ? null : [key, item]),
  };
}

/** BLMOVE `key to LEFT RIGHT seconds`: Redis moves from one list alone. */
function move(args: readonly Arg[]): BlockingRead {
  const [key] = args as [string];
  return {
    kind: 'blmove',
    key,
    wait: Number(args[4]) * 1_000,
    count: 1,
    from: '',
    alone: () => ['lmove', args.slice(0, 4)],
    together: undefined,
    split: ofList,
    whole: asItIs,
  };
}
