// Noise or loss? A group is measured again where the machine was disturbed, or where a limit was missed; a limit that
// is missed twice in quiet is missed.

/** Of one group, in one run. */
const ATTEMPTS = 3;

/**
 * Of one limit, from all attempts at its group: `{ quiet, verdict: { pass, clear } }`. A miss counts
 * where the machine was quiet and the rounds agree (`clear`). What is `counted` is the same on any machine.
 */
export function judge(attempts) {
  const misses = attempts.filter(({ quiet, verdict }) => quiet && !verdict.pass && verdict.clear);
  if (misses.length >= 2) return 'miss';
  return attempts.some(({ quiet, verdict }) => quiet && verdict.pass) ? 'pass' : 'unsure';
}

/** Whether a group is to be measured once more: `attempts` are `{ rows, disturbed, verdicts }`. */
export function isUndecided(attempts) {
  if (attempts.length >= ATTEMPTS) return false;
  if (!attempts.some(isQuiet)) return true;
  return limitsOf(attempts).some((what) => judge(ofLimit(attempts, what)) === 'unsure');
}

const isQuiet = ({ disturbed }) => disturbed.length === 0;
const limitsOf = (attempts) => attempts[0].verdicts.map(({ what }) => what);

function ofLimit(attempts, what) {
  return attempts.map((attempt) => {
    const verdict = attempt.verdicts.find((one) => one.what === what);
    return { quiet: isQuiet(attempt) || verdict.counted === true, verdict };
  });
}

/**
 * What a group's attempts come to: `rows` with the rounds of all attempts that were quiet, and
 * `verdicts` on them, each with its `outcome`: `pass`, `miss`, or `unsure` (the machine was too noisy
 * to tell, or it was missed once and then held).
 */
export function conclude(attempts, verdictsOf) {
  const quiet = attempts.filter(isQuiet);
  const used = quiet.length > 0 ? quiet : [attempts.at(-1)];
  const rows = used.map((attempt) => attempt.rows).reduce(pool);
  const verdicts = verdictsOf(rows).map((verdict) => {
    const outcome = judge(ofLimit(attempts, verdict.what));
    return { ...verdict, outcome: outcome === 'pass' && !verdict.pass ? 'unsure' : outcome };
  });
  return { rows, verdicts };
}

/** Two measurements of the same points as one: their rounds one after the other. */
export function pool(rows, more) {
  const others = new Map(more.map((row) => [pointOf(row), row]));
  return rows.map((row) => {
    const other = others.get(pointOf(row));
    if (other === undefined) return row;
    const joined = Object.entries(row).map(([column, value]) => [
      column,
      Array.isArray(value) ? [...value, ...(other[column] ?? [])] : value,
    ]);
    return Object.fromEntries(joined);
  });
}

const pointOf = (row) =>
  JSON.stringify(Object.entries(row).filter(([, value]) => !Array.isArray(value)));

/**
 * Measures a group until it is decided: `attempt` gives `{ rows, disturbed }`, `verdictsOf` the verdicts on
 * rows. Says what was
 * disturbed or missed, and whether that is measured again.
 */
export async function measureUntilDecided({ name, attempt, verdictsOf, say, repeats = true }) {
  const attempts = [];
  const goesOn = () => repeats && isUndecided(attempts);
  do {
    const { rows, disturbed } = await attempt();
    const verdicts = verdictsOf(rows);
    attempts.push({ rows, disturbed, verdicts });
    const why = goesOn() ? 'measured again' : 'not measured again';
    if (disturbed.length > 0) say(`${name}: ${why}, disturbed: ${disturbed.join('; ')}`);
    else {
      const missed = verdicts.filter(({ pass }) => !pass).map(({ what }) => what);
      if (missed.length > 0)
        say(`${name}: ${why}, ${missed.length} limits missed in quiet: ${missed.join('; ')}`);
    }
  } while (goesOn());
  // Who repeats nothing takes what was measured for what is.
  const decided = repeats ? conclude(attempts, verdictsOf) : asMeasured(attempts[0]);
  return { ...decided, attempts: attempts.map(summary) };
}

const asMeasured = ({ rows, verdicts }) => ({
  rows,
  verdicts: verdicts.map((verdict) => ({ ...verdict, outcome: verdict.pass ? 'pass' : 'miss' })),
});

const summary = ({ disturbed, verdicts }) => ({
  disturbed,
  missed: verdicts.filter(({ pass }) => !pass).map(({ what }) => what),
});
