import { SetupError } from '../errors.ts';
import { got } from '../internal/checks.ts';
import { escapeGlob, hasGlob } from './glob.ts';
import { templateMatcher, templateParts, type MatchTemplate } from './template.ts';

const KINDS = ['channel', 'list', 'stream'] as const;

/** The three structures of Redis that carry messages. */
export type Kind = (typeof KINDS)[number];

/** The kind that a text names; undefined for a text that names none. */
export function kindOf(text: unknown): Kind | undefined {
  return KINDS.find((kind) => kind === text);
}

/** An address taken apart: what the transport works with. */
export interface Target {
  readonly kind: Kind;
  readonly name: string;
  /** Streams only: keep about this many entries (`XADD … MAXLEN ~`). */
  readonly maxlen?: number | undefined;
  /** Channels only: SPUBLISH, to those who subscribed to a sharded channel. */
  readonly sharded?: boolean | undefined;
}

/** `list 'orders'`: how every error and log line names an address. */
export function describe(target: Target): string {
  return `${target.kind} '${target.name}'`;
}

/**
 * The one destination in a set of options. Throws {@link SetupError} for none, for two and for a
 * name that is not text; `where` says whose options they are.
 */
export function targetOf(
  options: { channel?: unknown; list?: unknown; stream?: unknown; sharded?: unknown },
  where: string,
): Target {
  const { channel, list, stream } = options;
  const given =
    Number(channel !== undefined) + Number(list !== undefined) + Number(stream !== undefined);
  if (given !== 1) {
    const names = KINDS.filter((kind) => options[kind] !== undefined);
    throw new SetupError(
      `${where}: expected one of channel, list or stream, got ${names.length === 0 ? 'none' : names.join(' and ')}`,
    );
  }
  const { sharded } = options;
  if (sharded !== undefined && (typeof sharded !== 'boolean' || channel === undefined)) {
    throw new SetupError(
      channel === undefined
        ? `${where}: 'sharded' is only for channels`
        : `${where}: 'sharded' must be a boolean, got ${got(sharded)}`,
    );
  }
  if (channel !== undefined) {
    const name = nameOf(channel, 'channel', where);
    return sharded === true ? { kind: 'channel', name, sharded } : { kind: 'channel', name };
  }
  if (list !== undefined) return { kind: 'list', name: nameOf(list, 'list', where) };
  return { kind: 'stream', name: nameOf(stream, 'stream', where) };
}

function nameOf(name: unknown, kind: Kind, where: string): string {
  if (typeof name === 'string' && name !== '') return name;
  throw new SetupError(
    `${where}: the name of a ${kind} must be a non-empty string, got ${name === '' ? "''" : got(name)}`,
  );
}

/** What a channel subscriber listens to. */
export interface ChannelPattern {
  /** The channel, or the glob for PSUBSCRIBE. */
  readonly name: string;
  readonly isPattern: boolean;
  /** The parameters in a concrete channel name; undefined where the name does not fit the template. */
  readonly match: MatchTemplate | undefined;
}

/**
 * Reads a channel name with its template parameters: `logs.{level}` listens to `logs.*` and takes
 * `level`, which holds no dot, from the concrete name. `pattern: true` makes the rest a raw glob,
 * `pattern: false` makes everything literal, braces included.
 */
export function channelPattern(
  channel: string,
  pattern: boolean | undefined,
  prefix: string,
  where: string,
): ChannelPattern {
  const parts = pattern === false ? [channel] : templateParts(channel, where);
  const isTemplate = parts.length > 1;
  if (
    pattern === undefined &&
    hasGlob(isTemplate ? parts.filter((_, i) => i % 2 === 0).join('') : channel)
  ) {
    throw new SetupError(
      `${where}: channel '${channel}' looks like a glob: set { pattern: true } to subscribe to all channels that match, or { pattern: false } if this is the exact name`,
    );
  }
  if (!isTemplate && pattern !== true)
    return { name: prefix + channel, isPattern: false, match: undefined };
  if (!isTemplate) return { name: escapeGlob(prefix) + channel, isPattern: true, match: undefined };
  const isGlob = pattern === true;
  const globs = parts.map((part, i) => (i % 2 === 1 ? '*' : isGlob ? part : escapeGlob(part)));
  const name = escapeGlob(prefix) + globs.join('');
  return { name, isPattern: true, match: templateMatcher(prefix, parts, isGlob) };
}
