// The tables that a run ends in: `{ id, title, columns, rows }`, for the terminal and for the docs.
import {
  LABELS,
  milliseconds,
  OUTCOMES,
  PARTS,
  short,
  SIDES,
  sizeLabel,
  SPREADS,
  STRUCTURES,
  times,
  TRANSPORTS,
  WAYS,
} from './labels.mjs';
import { KINDS, LARGE, SMALL } from './plan.mjs';
import { find } from './rows.mjs';
import { median, ratio } from './statistics.mjs';

export function tables({ groups, verdicts }) {
  const {
    calls,
    consumption,
    deliveries,
    features,
    observers,
    clients,
    subscribers,
    bodies,
    memory,
    connections,
    curves,
    profile,
  } = groups;
  const all = [
    ...[SMALL, LARGE].flatMap((size) => KINDS.map((kind) => callsTable(calls, kind, size))),
    consumptionTable(consumption),
    deliveriesTable(deliveries),
    featuresTable(features),
    observersTable(observers),
    clientsTable(clients),
    subscribersTable(subscribers),
    bodiesTable(bodies),
    memoryTable(memory),
    connectionsTable(connections),
    ...Object.keys(TRANSPORTS).map((transport) => curvesTable(curves, transport)),
    profileTable(profile),
    verdictsTable(verdicts),
  ];
  return all.filter((table) => table !== undefined && table.rows.length > 0);
}

function callsTable(all, kind, size) {
  const rows = all?.filter((row) => row.kind === kind && row.size === size) ?? [];
  const at = (contender, inFlight) => find(rows, { contender, inFlight });
  const contenders = [...new Set(rows.map(({ contender }) => contender))];
  const cells = (contender, inFlight) => {
    const row = at(contender, inFlight);
    const over = (floor) => times(ratio(row.rate, at(floor, inFlight).rate));
    const cpu = ['requester', 'responder', 'redis'].map((side) => short(median(row[side])));
    return [short(median(row.rate)), over('coalesced'), over('plain'), cpu.join(' / ')];
  };
  const latency = (contender) => {
    const { p50, p99 } = at(contender, 1);
    return `${short(median(p50))} / ${short(median(p99))}`;
  };
  return {
    id: `calls-${kind}-${size}`,
    title: `Calls over a ${STRUCTURES[kind]}, ${sizeLabel(size)}`,
    columns: ['', '1: p50 / p99 µs', ...columns(64), ...columns(512)],
    rows: contenders.map((contender) => [
      LABELS[contender],
      latency(contender),
      ...cells(contender, 64),
      ...cells(contender, 512),
    ]),
  };
}

const columns = (inFlight) => [`${inFlight}: calls/s`, '× coalesced', '× plain', 'CPU µs'];

function consumptionTable(rows = []) {
  return {
    id: 'consumption',
    title: 'Consumption, 100 B',
    columns: ['', '', 'messages/s', '× coalesced', 'CPU µs'],
    rows: rows.map(({ kind, batch, contender, rate, cpu }) => [
      `${STRUCTURES[kind]}, ${batch ? 'batches' : 'one by one'}`,
      LABELS[contender],
      short(median(rate)),
      times(ratio(rate, find(rows, { kind, batch, contender: 'coalesced' }).rate)),
      short(median(cpu)),
    ]),
  };
}

function deliveriesTable(rows = []) {
  return {
    id: 'deliveries',
    title: 'Sent one by one, and handled, 100 B',
    columns: ['', '', 'messages/s', '× its plain', 'CPU µs', "Redis's CPU µs"],
    rows: rows.map(({ how, contender, rate, cpu, redis }) => [
      WAYS[how],
      LABELS[contender],
      short(median(rate)),
      times(ratio(rate, find(rows, { how: 'plain', contender }).rate)),
      short(median(cpu)),
      short(median(redis)),
    ]),
  };
}

function featuresTable(rows = []) {
  return {
    id: 'features',
    title: 'What features cost: calls/s, 100 B',
    columns: ['', 'in flight', LABELS.bare, LABELS.equipped, 'ratio'],
    rows: rows
      .filter(({ contender }) => contender === 'bare')
      .map(({ kind, inFlight, rate }) => {
        const equipped = find(rows, { kind, inFlight, contender: 'equipped' }).rate;
        const rates = [rate, equipped].map((values) => short(median(values)));
        return [STRUCTURES[kind], inFlight, ...rates, times(ratio(equipped, rate))];
      }),
  };
}

function observersTable(rows = []) {
  const none = find(rows, { contender: 'unobserved' });
  return {
    id: 'observers',
    title: 'What it costs to be looked at: calls over a channel, 100 B, 64 in flight',
    columns: ['looked at by', 'calls/s', '× nothing', 'CPU µs of both', '× nothing'],
    rows: rows.map(({ contender, rate, cpu }) => [
      LABELS[contender],
      short(median(rate)),
      times(ratio(rate, none.rate)),
      short(median(cpu)),
      times(ratio(cpu, none.cpu)),
    ]),
  };
}

function clientsTable(rows = []) {
  const counts = [...new Set(rows.map(({ clients }) => clients))].sort((a, b) => a - b);
  const contenders = [...new Set(rows.map(({ contender }) => contender))];
  return {
    id: 'clients',
    title: 'More clients, 64 calls in flight among them: bytes that Redis sends per call (calls/s)',
    columns: ['clients', ...contenders.map((contender) => LABELS[contender])],
    rows: counts.map((clients) => [
      clients,
      ...contenders.map((contender) => {
        const { sent, rate } = find(rows, { clients, contender });
        return `${short(median(sent))} (${short(median(rate))})`;
      }),
    ]),
  };
}

function subscribersTable(rows = []) {
  return {
    id: 'subscribers',
    title: 'More subscribers beside the one that is called',
    columns: ['subscribed to', 'how many', 'calls/s', '× none', "Redis's CPU µs per call"],
    rows: rows
      .toSorted((a, b) => a.what.localeCompare(b.what) || a.count - b.count)
      .map(({ what, count, rate, redis }) => [
        what === 'channels' ? 'other channels' : 'patterns that do not match',
        count,
        short(median(rate)),
        times(ratio(rate, find(rows, { what, count: 0 }).rate)),
        short(median(redis)),
      ]),
  };
}

function bodiesTable(rows = []) {
  return {
    id: 'bodies',
    title: 'redstart alone: both sides in one process over memory://, 64 in flight',
    columns: ['body', 'calls/s', 'CPU µs per call', 'of it JSON', 'the rest'],
    rows: rows
      .toSorted((a, b) => a.size - b.size)
      .map(({ size, rate, cpu, json }) => {
        const rest = Math.max(0, median(cpu) - median(json));
        return [
          sizeLabel(size),
          short(median(rate)),
          ...[median(cpu), median(json), rest].map(short),
        ];
      }),
  };
}

function memoryTable(rows = []) {
  return {
    id: 'memory',
    title: 'Memory of a call that waits',
    columns: ['', 'bytes'],
    rows: rows.map(({ contender, bytes }) => [LABELS[contender], short(median(bytes))]),
  };
}

function connectionsTable(rows = []) {
  const at = (what, mode) => find(rows, { what, mode });
  const shown = (what, mode, columns) =>
    columns.map((column) => milliseconds(median(at(what, mode)[column]))).join(' / ');
  const spreads = Object.keys(SPREADS).map((what) => [what, ['p50', 'p99', 'max']]);
  const opened = rows.filter(({ what }) => what === 'connections');
  return {
    id: 'connections',
    title: '300 subscribers: p50 / p99 / slowest ms of a message',
    columns: [
      '',
      ...opened.map(({ mode }) => (mode === 'shared' ? 'shared' : 'one each')),
      'p50: ×',
    ],
    rows:
      opened.length === 0
        ? []
        : [
            ['connections', ...opened.map((row) => median(row.connections)), ''],
            ...spreads.map(([what, columns]) => [
              SPREADS[what],
              ...opened.map(({ mode }) => shown(what, mode, columns)),
              times(ratio(at(what, 'shared').p50, at(what, 'dedicated').p50)),
            ]),
          ],
  };
}

function curvesTable(all, transport) {
  const rows = all?.filter((row) => row.transport === transport) ?? [];
  const loads = [...new Set(rows.map(({ load }) => load))].filter((load) => load < 1);
  return {
    id: `curves-${transport}`,
    title: `p50 / p99 / p99.9 ms by load, over ${TRANSPORTS[transport]}`,
    columns: ['', '', 'saturation: calls/s', ...loads.map((load) => `${load * 100} %`)],
    rows: rows
      .filter(({ load }) => load === 1)
      .toSorted((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind))
      .map(({ kind, contender, rate }) => [
        contender === 'nats' ? 'subject' : STRUCTURES[kind],
        LABELS[contender],
        short(median(rate)),
        ...loads.map((load) => {
          const row = find(rows, { kind, contender, load });
          return ['p50', 'p99', 'p999']
            .map((column) => milliseconds(median(row[column])))
            .join(' / ');
        }),
      ]),
  };
}

function profileTable(rows = []) {
  const parts = Object.keys(PARTS);
  const columns = ['all', ...Object.values(PARTS)];
  return {
    id: 'profile',
    title: 'Where the time goes: CPU µs of a message, 100 B',
    columns: ['', '', '', ...columns],
    rows: rows.map((row) => [
      STRUCTURES[row.kind],
      SIDES[row.side],
      LABELS[row.contender],
      ...['cpu', ...parts].map((column) => short(median(row[column]))),
    ]),
  };
}

function verdictsTable(verdicts) {
  return {
    id: 'verdicts',
    title: 'What must be true',
    columns: ['', 'measured', 'must be', ''],
    rows: verdicts.map(({ what, value, limit, outcome }) => [
      what,
      Number.isInteger(value) ? value : times(value),
      limit,
      OUTCOMES[outcome],
    ]),
  };
}

export function toText({ title, columns, rows }) {
  const lines = [columns, ...rows].map((cells) => cells.map(String));
  const widths = columns.map((_, i) => Math.max(...lines.map((cells) => cells[i].length)));
  const pad = (cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]));
  return [`\n${title}`, ...lines.map((cells) => `  ${cells.map(pad).join('  ')}`)].join('\n');
}

const line = (cells) => `| ${cells.join(' | ')} |`;

export function toMarkdown({ columns, rows }) {
  const rule = columns.map((_, i) => (i === 0 ? '---' : '--:'));
  return [columns, rule, ...rows].map(line).join('\n');
}
