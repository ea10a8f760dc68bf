// What is measured: the package as built. The floors run on the very ioredis that it runs on.
import { createRequire } from 'node:module';

const fromRoot = createRequire(new URL('../../../package.json', import.meta.url));

export { RedisBroker } from '../../../dist/index.js';
export const { Redis } = fromRoot('ioredis');
export const { version } = fromRoot('./package.json');
/** An entry of the package beside the core, such as `metrics`. */
export const loadIntegration = (name) => import(`../../../dist/integrations/${name}/index.js`);
/** What an application with traces installs. */
export const loadTracing = () => ({
  api: fromRoot('@opentelemetry/api'),
  sdk: fromRoot('@opentelemetry/sdk-trace'),
  contexts: fromRoot('@opentelemetry/context-async-hooks'),
  core: fromRoot('@opentelemetry/core'),
});
/** zod, loaded by the one contender that validates. */
export const loadZod = () => fromRoot('zod').z;
