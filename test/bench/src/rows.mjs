// What was measured: a row for each point and contender, with one value per round in every column.

export class Rows {
  #rows = new Map();

  add(point, values) {
    const key = JSON.stringify(point);
    if (!this.#rows.has(key)) this.#rows.set(key, { ...point });
    const row = this.#rows.get(key);
    for (const [column, value] of Object.entries(values)) (row[column] ??= []).push(round(value));
  }

  get all() {
    return [...this.#rows.values()];
  }
}

/** The row of a point, by the fields that are given. */
export function find(rows, point) {
  const wanted = Object.entries(point);
  return rows?.find((row) => wanted.every(([key, value]) => row[key] === value));
}

/** The list turned round in every other round, so that nobody always comes after the same neighbour. */
export const inTurn = (list, round) => (round % 2 === 0 ? list : list.toReversed());

/** Four digits say all that there is to say. */
const round = (value) => Number(value.toPrecision(4));
