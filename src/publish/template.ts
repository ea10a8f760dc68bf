import { SetupError } from '../errors.ts';
import { got } from '../internal/checks.ts';

/**
 * The channel's name of a template, for a publisher or by a contract. A value is one that the template of a subscriber takes: one
 * character or more, and no dot. Throws `SetupError` where one is missing, too many or of another form.
 */
export function filled(
  template: readonly string[] | undefined,
  path: Readonly<Record<string, unknown>> | undefined,
  where: string,
  verb: string,
): string {
  const names = (template ?? []).filter((_, i) => i % 2 === 1);
  const odd = Object.keys(path ?? {}).find((name) => !names.includes(name));
  if (odd !== undefined)
    throw new SetupError(`${verb}: ${where} has no parameter {${odd}}: leave it out of 'path'`);
  return (template ?? [])
    .map((part, i) => {
      if (i % 2 === 0) return part;
      const value = path !== undefined && Object.hasOwn(path, part) ? path[part] : undefined;
      if (typeof value === 'string' && /^[^.]+$/.test(value)) return value;
      throw new SetupError(
        `${verb}: ${where} is a template and needs path: { ${part}: 'text' }, without a dot, got ${got(value)}; set { pattern: false } if the braces are part of the name`,
      );
    })
    .join('');
}
