// What must be true, as ratios within one run, and whether it is.
import { LABELS, SPREADS, STRUCTURES, WAYS, sizeLabel } from './labels.mjs';
import { KINDS, LARGE, SMALL } from './plan.mjs';
import { find } from './rows.mjs';
import { median, ratios } from './statistics.mjs';

/** At least so many times the calls per second of each, at 64 and at 512 in flight. */
const CALLS = {
  coalesced: [0.85, 0.85],
  plain: [1.3, 1.7],
  nestjs: [1.8, 2.5],
  moleculer: [1.6, 2.2],
  faststream: [30, 30],
};
const IN_FLIGHT = [64, 512];
const SERIAL = { p50: 1.15, p99: 1.3 };
const CPU = 1.25;
const CONSUMPTION = { coalesced: 0.6, bullmq: 5 };
/** At least so many times BullMQ's messages per second. */
const DELIVERIES = 1;
const FEATURES = 0.6;
/** CPU of a call that traces look at without an SDK. */
const UNTRACED = 1.02;
/** "Does not grow" and "costs nothing", with room for noise. */
const GROWTH = 1.05;
const NOTHING = 0.9;
/** 300 subscribers on shared connections: how many those are, latency against a connection each, and milliseconds that a full list may delay the others. */
const CONNECTIONS = 8;
const SHARED = 1.2;
const STARVED = 50;

/** As it is shown: a third digit is noise. */
const rounded = (value) => Math.round(value * 100) / 100;
const atLeast = (limit, values) => held(`≥ ${limit}`, values, (value) => value >= limit);
const atMost = (limit, values) => held(`≤ ${limit}`, values, (value) => value <= limit);
/** So large a share of the rounds must say what their median says, or a miss may be noise. */
const AGREEMENT = 0.75;

/** Of one value for each round; without them there is nothing to hold. */
function held(limit, values, holds) {
  if (values === undefined) return {};
  const value = median(values);
  const pass = holds(rounded(value));
  const agreeing = values.filter((one) => holds(rounded(one)) === pass).length;
  return { limit, value, pass, clear: agreeing / values.length >= AGREEMENT };
}

/**
 * `{ group, what, limit, value, pass, clear }` for everything that was measured: the median of the rounds, and whether
 * they agree on it.
 */
export function verdicts(groups) {
  const all = [
    ...calls(groups.calls),
    ...serial(groups.calls),
    ...cpu(groups.calls),
    ...consumption(groups.consumption),
    ...deliveries(groups.deliveries),
    ...features(groups.features),
    ...observers(groups.observers),
    ...growth(groups),
    ...connections(groups.connections),
  ];
  return all.filter(({ value }) => value !== undefined);
}

/** redstart's column over another's, round by round; undefined where either was not measured. */
function compare(rows, point, contender, column) {
  const own = find(rows, { ...point, contender: 'redstart' });
  const other = find(rows, { ...point, contender });
  return own && other && ratios(own[column], other[column]);
}

function calls(rows) {
  return [SMALL, LARGE].flatMap((size) =>
    KINDS.flatMap((kind) =>
      IN_FLIGHT.flatMap((inFlight, i) =>
        Object.entries(CALLS)
          // With large bodies everybody mostly reads and writes JSON.
          .filter(([contender]) => size === SMALL || contender === 'coalesced')
          .map(([contender, limits]) => ({
            group: 'calls',
            what: `${where(kind, size)}, ${inFlight} in flight: calls/s of ${LABELS[contender]}`,
            ...atLeast(limits[i], compare(rows, { kind, size, inFlight }, contender, 'rate')),
          })),
      ),
    ),
  );
}

function serial(rows) {
  return KINDS.flatMap((kind) =>
    Object.entries(SERIAL).map(([column, limit]) => ({
      group: 'calls',
      what: `${where(kind, SMALL)}, one at a time: ${column} of ${LABELS.coalesced}`,
      ...atMost(limit, compare(rows, { kind, size: SMALL, inFlight: 1 }, 'coalesced', column)),
    })),
  );
}

function cpu(rows) {
  return KINDS.flatMap((kind) =>
    IN_FLIGHT.flatMap((inFlight) =>
      ['requester', 'responder'].map((side) => ({
        group: 'calls',
        what: `${where(kind, SMALL)}, ${inFlight} in flight: ${side}'s CPU per call of ${LABELS.coalesced}`,
        ...atMost(CPU, compare(rows, { kind, size: SMALL, inFlight }, 'coalesced', side)),
      })),
    ),
  );
}

function consumption(rows) {
  return KINDS.flatMap((kind) =>
    [false, true].flatMap((batch) =>
      Object.entries(CONSUMPTION).map(([contender, limit]) => ({
        group: 'consumption',
        what: `${STRUCTURES[kind]}, ${batch ? 'batches' : 'one by one'}: messages/s of ${LABELS[contender]}`,
        ...atLeast(limit, compare(rows, { kind, batch }, contender, 'rate')),
      })),
    ),
  );
}

function deliveries(rows) {
  return ['plain', 'id', 'delay'].map((how) => {
    const [own, other] = ['redstart', 'bullmq'].map((contender) => find(rows, { how, contender }));
    const values = own && other && ratios(own.rate, other.rate);
    const what = `${WAYS[how]}: messages/s of ${LABELS.bullmq}`;
    return { group: 'deliveries', what, ...atLeast(DELIVERIES, values) };
  });
}

function features(rows) {
  return KINDS.flatMap((kind) =>
    IN_FLIGHT.map((inFlight) => {
      const [plain, equipped] = ['bare', 'equipped'].map((contender) =>
        find(rows, { kind, inFlight, contender }),
      );
      const values = plain && equipped && ratios(equipped.rate, plain.rate);
      const what = `${STRUCTURES[kind]}, ${inFlight} in flight: ${LABELS.equipped}, calls/s of the plain path`;
      return { group: 'features', what, ...atLeast(FEATURES, values) };
    }),
  );
}

function observers(rows) {
  const [none, untraced] = ['unobserved', 'untraced'].map((contender) => find(rows, { contender }));
  const values = none && untraced && ratios(untraced.cpu, none.cpu);
  const what = `${LABELS.untraced}: CPU per call of nothing`;
  return [{ group: 'observers', what, ...atMost(UNTRACED, values) }];
}

function growth({ clients, subscribers }) {
  const own = (clients ?? []).filter(({ contender }) => contender === 'redstart');
  const [one, many] = [own.at(0), own.at(-1)];
  const channels = (subscribers ?? []).filter(({ what }) => what === 'channels');
  const [none, most] = [channels.at(0), channels.at(-1)];
  return [
    {
      group: 'clients',
      what: `1 → ${many?.clients} clients: bytes that Redis sends per call`,
      ...atMost(GROWTH, one && ratios(many.sent, one.sent)),
    },
    {
      group: 'subscribers',
      what: `${most?.count} subscribers of other channels: calls/s of none`,
      ...atLeast(NOTHING, none && ratios(most.rate, none.rate)),
    },
  ];
}

function connections(rows = []) {
  const at = (what) => ['shared', 'dedicated'].map((mode) => find(rows, { what, mode }));
  const [opened] = at('connections');
  const [starved] = at('full');
  return [
    {
      group: 'connections',
      what: '300 subscribers: connections',
      counted: true,
      ...atMost(CONNECTIONS, opened?.connections),
    },
    ...['all', 'busy', 'pressed'].map((what) => {
      const [shared, dedicated] = at(what);
      return {
        group: 'connections',
        what: `${SPREADS[what]}: p50 on shared connections of a connection each`,
        ...atMost(SHARED, shared && ratios(shared.p50, dedicated.p50)),
      };
    }),
    {
      group: 'connections',
      what: `${SPREADS.full}: ms of the slowest message, on shared connections`,
      ...atMost(
        STARVED,
        starved?.max.map((microseconds) => microseconds / 1_000),
      ),
    },
  ];
}

const where = (kind, size) => `${STRUCTURES[kind]}, ${sizeLabel(size)}`;
