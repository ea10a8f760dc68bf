// Every contender, loaded in the process that runs it: the guard has none of the peers' packages.
const MODULES = {
  redstart: './redstart.mjs',
  bare: './redstart.mjs',
  equipped: './redstart.mjs',
  coalesced: './floors.mjs',
  plain: './floors.mjs',
  nestjs: './nestjs.mjs',
  moleculer: './moleculer.mjs',
  bullmq: './bullmq.mjs',
};

export async function loadContender(name) {
  const contenders = await import(MODULES[name]);
  return contenders[name];
}
