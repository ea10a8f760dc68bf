// What a run leaves behind: tables on the terminal, and the JSON that everything else is drawn from.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { charts } from './charts.mjs';
import { withFigures } from './document.mjs';
import { OUTCOMES } from './labels.mjs';
import { tables, toText } from './tables.mjs';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const RESULTS = 'benchmarks.json';
const DOCUMENT = 'docs/benchmarks.md';

export function print(results) {
  for (const table of tables(results)) console.log(toText(table));
  const count = (outcome) =>
    results.verdicts.filter((verdict) => verdict.outcome === outcome).length;
  const counts = Object.entries(OUTCOMES).map(([outcome, label]) => `${count(outcome)} ${label}`);
  console.log(`\n${counts.join(', ')}`);
}

/** Results and charts; in `docs` the document's figures, too. */
export function write(results, folder) {
  mkdirSync(`${ROOT}${folder}/charts`, { recursive: true });
  writeFileSync(`${ROOT}${folder}/${RESULTS}`, `${JSON.stringify(results)}\n`);
  for (const [name, svg] of charts(results)) writeFileSync(`${ROOT}${folder}/charts/${name}`, svg);
  console.log(`written: ${folder}/${RESULTS}, ${folder}/charts`);
  if (folder !== 'docs') return;
  const text = readFileSync(`${ROOT}${DOCUMENT}`, 'utf8');
  writeFileSync(`${ROOT}${DOCUMENT}`, withFigures(text, results, tables(results), charts(results)));
  const oxfmt = [`${ROOT}node_modules/oxfmt/bin/oxfmt`, `docs/${RESULTS}`, DOCUMENT];
  spawnSync(process.execPath, oxfmt, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  console.log(`written: ${DOCUMENT}`);
}

export const read = () => JSON.parse(readFileSync(`${ROOT}docs/${RESULTS}`, 'utf8'));
