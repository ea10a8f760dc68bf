// What is measured: the package as built. The floors run on the very ioredis that it runs on.
import { createRequire } from 'node:module';

const fromRoot = createRequire(new URL('../../../package.json', import.meta.url));

export { RedisBroker } from '../../../dist/index.js';
export const { Redis } = fromRoot('ioredis');
export const { version } = fromRoot('./package.json');
/** zod, loaded by the one contender that validates. */
export const loadZod = () => fromRoot('zod').z;
