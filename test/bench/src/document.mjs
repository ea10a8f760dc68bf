// Figures in prose: what stands between two markers of a document is made from the results.
import { toMarkdown } from './tables.mjs';

/** Replaces what is between `<!-- figures: id -->` and `<!-- end -->` by the table of that id; where the results have none, it stays. */
export function withFigures(document, results, tables) {
  const known = new Map(tables.map((table) => [table.id, toMarkdown(table)]));
  known.set('machine', machineOf(results));
  known.set('misses', missesOf(results));
  return document.replaceAll(
    /(<!-- figures: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (all, begin, id, end) => {
      if (!known.has(id)) {
        console.warn(`the results have no figures for '${id}': what is there stays`);
        return all;
      }
      return `${begin}\n${known.get(id)}\n\n${end}`;
    },
  );
}

function machineOf({ date, machine, versions, rounds }) {
  const contenders = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured on ${date.slice(0, 10)} with ${machine.cpu}, ${machine.cores} cores, ${machine.memory} GB,`,
    `${machine.os}, Node ${machine.node}, Redis ${machine.redis} on the same machine, medians of ${rounds} rounds.`,
    `Versions: ${contenders.join(', ')}.`,
  ].join('\n');
}

function missesOf({ verdicts }) {
  const missed = verdicts.filter(({ pass }) => !pass);
  if (missed.length === 0) return `All ${verdicts.length} hold in this run.`;
  return `${verdicts.length - missed.length} of ${verdicts.length} hold in this run.`;
}
