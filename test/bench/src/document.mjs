// Figures in prose: what stands between two markers of a document is made from the results.
import { runOf } from './results.mjs';
import { toMarkdown } from './tables.mjs';

/**
 * Replaces what is between `<!-- figures: id -->` and `<!-- end -->` by the table of that id, or by the charts whose
 * names begin with it; where the results have none, it stays.
 */
export function withFigures(document, results, tables, charts) {
  const known = new Map(tables.map((table) => [table.id, toMarkdown(table)]));
  known.set('machine', machineOf(results));
  known.set('misses', missesOf(results));
  if (results.attempts !== undefined) known.set('noise', noiseOf(results));
  const curves = charts.filter(([name]) => name.startsWith('curves-'));
  if (curves.length > 0) {
    known.set('curves-charts', curves.map(imageOf).join('\n\n'));
    known.set('curves-machine', machineOf(runOf(results, 'curves')));
  }
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

function imageOf([name, svg]) {
  const [, title] = /aria-label="([^"]*)"/.exec(svg);
  return `![${title}](charts/${name})`;
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
  const count = (outcome) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  if (count('pass') === verdicts.length) return `All ${verdicts.length} hold in this run.`;
  const unsure = count('unsure');
  const doubt = unsure === 0 ? '' : ` Of ${unsure} this run cannot tell.`;
  return `${count('pass')} of ${verdicts.length} hold in this run.${doubt}`;
}

/** Which groups were measured more than once, and what disturbed them. */
function noiseOf({ attempts }) {
  const lines = Object.entries(attempts).flatMap(([group, all]) => {
    const reasons = [...new Set(all.flatMap(({ disturbed }) => disturbed))];
    if (all.length === 1 && reasons.length === 0) return [];
    const why = reasons.length > 0 ? `disturbed: ${reasons.join('; ')}` : 'limits were missed';
    return [`- ${group}, measured ${all.length === 1 ? 'once' : `${all.length} times`}: ${why}`];
  });
  if (lines.length === 0) return 'Nothing was repeated.';
  return lines.join('\n');
}
