/** What a key of a document may hold: letters, digits, `_`, `.` and `-`. */
export function nameFrom(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_.-]+/g, '_') || '_';
}

/** `name`, or with a number where that is taken. */
export function unused(taken: { has(name: string): boolean }, name: string): string {
  let free = name;
  for (let number = 2; taken.has(free); number++) free = `${name}_${number}`;
  return free;
}

interface Parameter {
  readonly description: string;
  readonly enum?: readonly string[];
}

interface Address {
  readonly address: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
}

/**
 * An address and its parameters. Braces are parameters in AsyncAPI. Where they belong to the name, such
 * as a hash tag of Redis Cluster, the only value of the parameter is the text with its braces.
 */
export function addressOf(name: string, parameters: readonly string[]): Address {
  const found = new Map<string, Parameter>();
  for (const one of parameters)
    found.set(one, { description: 'One character or more, and no dot.' });
  const address = name.replaceAll(/\{([^}]+)\}/g, (literal, inner: string) => {
    if (parameters.includes(inner)) return literal;
    const wanted = inner.replaceAll(/[^A-Za-z0-9_-]+/g, '_');
    const isKnown = found.get(wanted)?.enum?.[0] === literal;
    const key = isKnown ? wanted : unused(found, wanted);
    found.set(key, { description: 'These braces belong to the name.', enum: [literal] });
    return `{${key}}`;
  });
  return { address, parameters: Object.fromEntries(found) };
}
