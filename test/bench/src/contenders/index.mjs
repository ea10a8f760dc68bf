// Every contender, loaded in the process that runs it: the guard has none of the peers' packages.
const MODULES = {
  redstart: './redstart.mjs',
  bare: './redstart.mjs',
  equipped: './redstart.mjs',
  unobserved: './observed.mjs',
  observed: './observed.mjs',
  metered: './observed.mjs',
  untraced: './observed.mjs',
  unsampled: './observed.mjs',
  traced: './observed.mjs',
  coalesced: './floors.mjs',
  plain: './floors.mjs',
  nestjs: './nestjs.mjs',
  moleculer: './moleculer.mjs',
  bullmq: './bullmq.mjs',
  nats: './nats.mjs',
};

export async function loadContender(name) {
  const contenders = await import(MODULES[name]);
  return contenders[name];
}
