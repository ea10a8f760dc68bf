/** A field of one row of XINFO, in which names and values stand in turn; undefined where the server does not know it. */
export function fieldIn(row: readonly unknown[], name: string): unknown {
  // In steps of two: a group or a consumer may be called `pending`.
  for (let i = 0; i < row.length; i += 2) if (row[i] === name) return row[i + 1];
  return undefined;
}
