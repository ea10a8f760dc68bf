// Reads AsyncAPI documents as other tools do: prints what each of them says, as JSON by file.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { TypeScriptGenerator } from '@asyncapi/modelina';
import { Parser } from '@asyncapi/parser';
import Ajv from 'ajv';

const require = createRequire(import.meta.url);
// The one with `$id` does not compile in Ajv 8.
const specification = require('@asyncapi/specs/schemas/3.1.0-without-$id.json');
const validate = new Ajv.default({ strict: false, allErrors: true, logger: false }).compile(
  specification,
);
const parser = new Parser();
const said = {};
for (const file of process.argv.slice(2)) {
  const text = readFileSync(file, 'utf8');
  const { document, diagnostics } = await parser.parse(text);
  const isValid = validate(JSON.parse(text));
  const replies = document
    ?.operations()
    .all()
    .map((operation) => {
      const reply = operation.reply();
      const messages = reply
        ?.messages()
        .all()
        .map((message) => message.id());
      return [operation.id(), { location: reply?.address()?.location(), messages }];
    });
  // It knows no 3.1 yet.
  const models = await new TypeScriptGenerator().generate({
    ...JSON.parse(text),
    asyncapi: '3.0.0',
  });
  said[basename(file, '.json')] = {
    diagnostics: diagnostics.map(({ message, path }) => `${path.join('/')}: ${message}`),
    errors: isValid ? [] : validate.errors.map((one) => `${one.instancePath}: ${one.message}`),
    replies: Object.fromEntries(replies ?? []),
    models: Object.fromEntries(models.map(({ modelName, result }) => [modelName, result])),
  };
}
process.stdout.write(`${JSON.stringify(said)}\n`);
