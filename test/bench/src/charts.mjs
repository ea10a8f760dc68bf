// Which charts there are, and what of the results each shows.
import { LABELS, short, sizeLabel, STRUCTURES, TRANSPORTS } from './labels.mjs';
import { KINDS, SMALL } from './plan.mjs';
import { find } from './rows.mjs';
import { median } from './statistics.mjs';
import { runOf } from './results.mjs';
import { panels } from './panels.mjs';
import { bars, lines } from './svg.mjs';

const LOOKS = { redstart: 'own', coalesced: 'floor', plain: 'floor' };
const lookOf = (contender) => LOOKS[contender] ?? 'peer';

/** File names and their SVG. */
export function charts(results) {
  const { groups } = results;
  const on = machineOf(results);
  const made = {
    'calls.svg': groups.calls && callsChart(groups.calls, on),
    'structures.svg': groups.calls && structuresChart(groups.calls, on),
    'latency.svg': groups.calls && latencyChart(groups.calls, on),
    'cpu.svg': groups.calls && cpuChart(groups.calls, on),
    'consumption.svg': groups.consumption && consumptionChart(groups.consumption, on),
    'clients.svg': groups.clients && clientsChart(groups.clients, on),
    'bodies.svg': groups.bodies && bodiesChart(groups.bodies, on),
    ...Object.fromEntries(
      KINDS.map((kind) => [
        `curves-${kind}.svg`,
        groups.curves && curvesChart(groups.curves, kind, machineOf(runOf(results, 'curves'))),
      ]),
    ),
  };
  return Object.entries(made).filter(([, svg]) => svg !== undefined);
}

const machineOf = ({ machine: { cpu, cores, node, redis } }) =>
  `${cpu}, ${cores} cores, Node ${node}, Redis ${redis}`;

function bar({ contender }, values, figure) {
  return { label: LABELS[contender], look: lookOf(contender), values, figure };
}

const byRate = (a, b) => median(b.rate) - median(a.rate);
const rateBar = (row) => bar(row, [median(row.rate)], short(median(row.rate)));

function callsChart(all, on) {
  const rows = (inFlight) =>
    all.filter((row) => row.kind === 'channel' && row.size === SMALL && row.inFlight === inFlight);
  return bars({
    title: 'Calls per second over a channel',
    subtitle: `100 B of JSON there and back, two processes; ${on}`,
    groups: [64, 512].map((inFlight) => ({
      label: `${inFlight} in flight`,
      bars: rows(inFlight).toSorted(byRate).map(rateBar),
    })),
  });
}

function structuresChart(all, on) {
  const rows = (kind) =>
    all.filter((row) => row.kind === kind && row.size === SMALL && row.inFlight === 512);
  return bars({
    title: 'Calls per second, 512 in flight, by structure',
    subtitle: `100 B of JSON there and back, two processes; ${on}`,
    groups: KINDS.map((kind) => ({
      label: STRUCTURES[kind],
      bars: rows(kind).toSorted(byRate).map(rateBar),
    })),
  });
}

function latencyChart(all, on) {
  const rows = all.filter((row) => row.size === SMALL && row.inFlight === 1);
  return bars({
    title: 'How long one call takes, when it is the only one: µs',
    subtitle: `100 B of JSON, two processes; ${on}`,
    legend: ['median', 'up to the 99th percentile'],
    groups: KINDS.map((kind) => ({
      label: STRUCTURES[kind],
      bars: rows
        .filter((row) => row.kind === kind)
        .toSorted((a, b) => median(a.p50) - median(b.p50))
        .map((row) => {
          const [p50, p99] = [median(row.p50), median(row.p99)];
          return bar(row, [p50, p99 - p50], `${short(p50)} / ${short(p99)}`);
        }),
    })),
  });
}

/** FastStream's would make all others too short to be told apart; the table has it. */
function cpuChart(all, on) {
  const rows = all.filter(
    (row) => row.size === SMALL && row.inFlight === 64 && row.contender !== 'faststream',
  );
  return bars({
    title: 'CPU per call, 64 in flight: µs',
    subtitle: `100 B of JSON there and back; ${on}`,
    legend: ['requester', 'responder', 'Redis'],
    groups: KINDS.map((kind) => ({
      label: STRUCTURES[kind],
      bars: rows
        .filter((row) => row.kind === kind)
        .map((row) => {
          const parts = ['requester', 'responder', 'redis'].map((side) => median(row[side]));
          return bar(row, parts, parts.map(short).join(' / '));
        }),
    })),
  });
}

function consumptionChart(all, on) {
  const points = all.filter(({ contender }) => contender === 'redstart');
  return bars({
    title: 'Messages consumed per second, one process',
    subtitle: `100 B of JSON, a trivial handler; ${on}`,
    groups: points.map(({ kind, batch }) => ({
      label: `${STRUCTURES[kind]}, ${batch ? 'batches' : 'one by one'}`,
      bars: all
        .filter((row) => row.kind === kind && row.batch === batch)
        .toSorted(byRate)
        .map(rateBar),
    })),
  });
}

function clientsChart(all, on) {
  const steps = [...new Set(all.map(({ clients }) => clients))].sort((a, b) => a - b);
  const contenders = [...new Set(all.map(({ contender }) => contender))];
  return lines({
    title: 'Bytes that Redis sends per call, by the number of clients',
    subtitle: `channel, 100 B, 64 calls in flight in all; ${on}`,
    axis: 'clients',
    figure: short,
    steps,
    series: contenders.map((contender) => ({
      label: contender === 'coalesced' ? 'by hand' : LABELS[contender],
      look: lookOf(contender),
      values: steps.map((clients) => median(find(all, { clients, contender }).sent)),
    })),
  });
}

function bodiesChart(all, on) {
  return bars({
    title: 'CPU of a call without a network, by the size of its body: µs',
    subtitle: `both sides in one process, memory://; ${on}`,
    legend: ['redstart', 'JSON, written and parsed twice'],
    groups: [
      {
        label: '',
        bars: all
          .toSorted((a, b) => a.size - b.size)
          .map(({ size, cpu, json }) => {
            const rest = Math.max(0, median(cpu) - median(json));
            const figure = `${short(rest)} + ${short(median(json))}`;
            return { label: sizeLabel(size), look: 'own', values: [rest, median(json)], figure };
          }),
      },
    ],
  });
}

/** How each contender's curve looks: its peers need colours of their own to be told apart. */
const CURVES = { nestjs: 'second', moleculer: 'third', nats: 'fourth' };
const curveOf = (contender) => CURVES[contender] ?? lookOf(contender);
const PERCENTILES = { p50: 'median', p99: 'p99', p999: 'p99.9' };

function curvesChart(all, kind, on) {
  const rows = all.filter((row) => row.kind === kind && row.load < 1);
  const contenders = [...new Set(rows.map(({ contender }) => contender))];
  const transports = [...new Set(rows.map(({ transport }) => transport))];
  const points = (transport, contender, column) =>
    rows
      .filter((row) => row.transport === transport && row.contender === contender)
      .map((row) => [median(row.rate), median(row[column])]);
  return panels({
    title: `Latency by load: ${STRUCTURES[kind]}`,
    subtitle: `each at 25, 50, 75 and 90 % of its own saturation, 100 B; ${on}`,
    axis: 'calls/s',
    legend: contenders.map((contender) => ({
      label: LABELS[contender],
      look: curveOf(contender),
      dashed: contender === 'plain',
    })),
    columns: transports.length,
    figures: { x: (rate) => `${rate / 1e3} k`, y: (microseconds) => `${microseconds / 1e3} ms` },
    panels: Object.entries(PERCENTILES).flatMap(([column, name]) =>
      transports.map((transport) => ({
        label: `${name}, ${TRANSPORTS[transport]}`,
        series: contenders.map((contender) => ({
          look: curveOf(contender),
          dashed: contender === 'plain',
          points: points(transport, contender, column),
        })),
      })),
    ),
  });
}
