// How much is measured: everything in about ten minutes where nothing is repeated, or a glance in less than 40 seconds.

export const SMALL = 100;
export const LARGE = 4_096;
export const KINDS = ['channel', 'list', 'stream'];

const FULL = {
  rounds: 5,
  /** Milliseconds of one measurement, and of warming up before the first. */
  milliseconds: 200,
  warmUp: 300,
  sizes: [SMALL, LARGE],
  consumption: { rounds: 3, count: 200_000 },
  deliveries: { rounds: 3, count: 10_000 },
  features: { rounds: 5 },
  observers: { rounds: 15, milliseconds: 300 },
  memory: { rounds: 3, count: 50_000 },
  clients: { rounds: 3, counts: [1, 4, 16, 64] },
  subscribers: { rounds: 5, counts: [0, 100, 1_000] },
  bodies: { rounds: 5, sizes: [100, 1_024, 4_096, 16_384, 65_536] },
  connections: { rounds: 5, count: 300, milliseconds: 600 },
  curves: { rounds: 3, saturation: 500, milliseconds: 600, warmUp: 400 },
  profile: { rounds: 3, milliseconds: 1_000, count: 200_000 },
};

const QUICK = {
  rounds: 2,
  milliseconds: 80,
  warmUp: 200,
  sizes: [SMALL],
  consumption: { rounds: 1, count: 40_000 },
  deliveries: { rounds: 1, count: 2_000 },
  features: { rounds: 2 },
  observers: { rounds: 2, milliseconds: 150 },
  memory: { rounds: 1, count: 20_000 },
  clients: { rounds: 1, counts: [1, 64] },
  subscribers: { rounds: 2, counts: [0, 1_000] },
  bodies: { rounds: 1, sizes: [100, 4_096] },
  connections: { rounds: 1, count: 300, milliseconds: 200 },
  curves: { rounds: 1, saturation: 150, milliseconds: 150, warmUp: 200 },
  profile: { rounds: 1, milliseconds: 200, count: 40_000 },
};

export const planFor = (isQuick) => (isQuick ? QUICK : FULL);
