// Figures in prose: what stands between two markers of a document is made from the results.
import { runOf } from './results.mjs';
import { toMarkdown } from './tables.mjs';

/**
 * Replaces what is between `<!-- figures: id -->` and `<!-- end -->` by the table of that id, or by the charts whose
 * names begin with it; where the results have none, it stays.
 */
export function withFigures(document, results, tables, charts) {
  const known = new Map(tables.map((table) => [table.id, toMarkdown(table)]));
  known.set('machine', [machineOf(results), ...laterOf(results)].join('\n'));
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

/** The parts that were measured again, by themselves. */
function laterOf({ runs = {} }) {
  const parts = Object.entries(runs).map(([group, { date }]) => `${group} (${date.slice(0, 10)})`);
  return parts.length === 0 ? [] : [`Measured in a run of their own: ${parts.join(', ')}.`];
}

function missesOf({ verdicts }) {
  const count = (outcome) => verdicts.filter((verdict) => verdict.outcome === outcome).length;
  if (count('pass') === verdicts.length) return `All ${verdicts.length} hold in this run.`;
  const unsure = count('unsure');
  const doubt = unsure === 0 ? '' : ` Of ${unsure} this run cannot tell.`;
  return `${count('pass')} of ${verdicts.length} hold in this run.${doubt}`;
}

/** Which groups were measured more than once and why, and which were disturbed to the end. */
function noiseOf({ attempts }) {
  const lines = Object.entries(attempts).flatMap(([group, all]) => {
    const [first, last] = [all[0].disturbed, all.at(-1).disturbed];
    const why = first.length > 0 ? first.join('; ') : 'limits were missed';
    if (all.length === 1) return first.length > 0 ? [`- ${group}: ${why}`] : [];
    const end = last.length > 0 ? ', and disturbed to the end' : '';
    return [`- ${group}, measured ${all.length} times${end}. The first time: ${why}`];
  });
  return lines.length === 0 ? 'Nothing was repeated.' : lines.join('\n');
}
