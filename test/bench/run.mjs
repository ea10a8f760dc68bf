// `npm run bench`: redstart against its floors and its peers. See docs/benchmarks.md.
import { readOptions, USAGE } from './src/options.mjs';
import { build, findPython, installPeers } from './src/prepare.mjs';

const began = performance.now();
const say = (what) =>
  console.log(`bench: ${((performance.now() - began) / 1_000).toFixed(0)} s: ${what}`);

async function main() {
  const { help, draw, quick, only } = readOptions(process.argv.slice(2));
  if (help) return console.log(USAGE);
  const { print, read, write } = await import('./src/output.mjs');
  const { judgedAgain, merge } = await import('./src/results.mjs');
  if (draw) return write(judgedAgain(read(), (await import('./src/targets.mjs')).verdicts), 'docs');
  say('building redstart, and looking for what it is compared with');
  build();
  installPeers();
  const fastStream = findPython();
  if (fastStream === undefined)
    say('FastStream is skipped: no Python has it (set REDSTART_PYTHON, or run the tests once)');
  // Only now: it loads what was built and installed.
  const { measure } = await import('./src/measure.mjs');
  const results = await measure({ quick, only, fastStream, say });
  print(results);
  if (quick) write(results, 'build/bench');
  else write(only === undefined ? results : merge(read(), results), 'docs');
  const missed = results.verdicts.filter(({ outcome }) => outcome === 'miss');
  // A glance repeats nothing, so it cannot tell noise from loss.
  if (!quick && missed.length > 0) {
    for (const { what, value, limit } of missed)
      say(`missed twice in quiet: ${what}: ${value.toFixed(2)}, must be ${limit}`);
    process.exitCode = 1;
  }
  say('done');
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
