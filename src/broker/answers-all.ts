// A question to all subscribers of a channel. PUBLISH counts a connection once for a channel and once for a
// glob, however many handlers hear it: so one of them answers, or says that none will.
import type { Plan } from './plan.ts';

/** Whether these handlers answer: the first of those that share their subscription. */
export function answersAll(planned: Plan, plans: readonly Plan[], name: string): boolean {
  const first = hearingWith(planned, plans, name, true).find(
    ({ noReply, members }) => !noReply && !members.some(({ subscriber }) => subscriber.isPaused),
  );
  return first === planned;
}

/** Those who get the same message: of a question to all, only those who share the subscription. */
export function hearingWith(
  planned: Plan,
  plans: readonly Plan[],
  name: string,
  isForAll: boolean,
): Plan[] {
  const ours = JSON.stringify(planned.source);
  return plans.filter(
    (other) =>
      other.source.kind === planned.source.kind &&
      other.hears(name) &&
      (!isForAll || JSON.stringify(other.source) === ours),
  );
}
