// The few figures that a series of rounds is summed up in.

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which `share` of the sorted values lie. */
export function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/**
 * The rounds' own ratios. What a round compares was measured within a second or two,
 * so a machine whose speed drifts changes both sides of it alike.
 */
export function ratios(values, base) {
  const rounds = Math.min(values.length, base.length);
  return Array.from({ length: rounds }, (_, i) => values[i] / base[i]);
}

/** The median of the rounds' own ratios. */
export const ratio = (values, base) => median(ratios(values, base));
