// Results of several runs as one: a run of some groups replaces those groups and what was said of them.

/** What a run says of itself as the whole. */
const COMMON = ['date', 'rounds', 'machine', 'versions'];

/** `runs` has, for each group that another run measured than the one named at the top, when and on what that was. */
export function merge(old, run) {
  const measured = Object.keys(run.groups);
  const others = old.verdicts.filter(({ group }) => !measured.includes(group)).map(withOutcome);
  const own = Object.fromEntries(COMMON.map((field) => [field, run[field]]));
  const runs = { ...old.runs, ...Object.fromEntries(measured.map((name) => [name, own])) };
  // Where nothing of an older run is left, the new one is the one at the top.
  const isWhole = Object.keys(old.groups).every((name) => measured.includes(name));
  if (isWhole) return run;
  return {
    ...old,
    runs,
    groups: { ...old.groups, ...run.groups },
    verdicts: [...others, ...run.verdicts],
    attempts: { ...old.attempts, ...run.attempts },
  };
}

/** Results from before there was noise know only whether a limit held. */
const withOutcome = (verdict) => ({ outcome: verdict.pass ? 'pass' : 'miss', ...verdict });

/** Limits may have changed since: judged again, where a limit is as it was with the outcome that it had. */
export function judgedAgain(results, verdicts) {
  const before = new Map(results.verdicts.map((verdict) => [verdict.what, verdict]));
  const judged = verdicts(results.groups).map((verdict) => {
    const old = before.get(verdict.what);
    const isSame = old?.outcome !== undefined && old.limit === verdict.limit;
    return isSame ? { ...verdict, outcome: old.outcome } : withOutcome(verdict);
  });
  return { ...results, verdicts: judged };
}

/** When and on what a group was measured. */
export const runOf = (results, group) => results.runs?.[group] ?? results;
