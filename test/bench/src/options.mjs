// What can be asked of a run on its command line.
import { parseArgs } from 'node:util';

export const USAGE = `npm run bench -- [options]
  --quick        a glance in less than 40 s, nothing repeated; written to build/bench, not to docs
  --only a,b     some groups: calls, curves, consumption, deliveries, features, observers, clients, subscribers,
                 connections, bodies, memory, profile; the others in docs stay
  --draw         measure nothing: tables, charts and docs again from docs/benchmarks.json`;

export function readOptions(args) {
  const options = {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    draw: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  };
  const { quick, only, draw, help } = parseArgs({ args, options }).values;
  return { quick, draw, help, only: only?.split(',') };
}
