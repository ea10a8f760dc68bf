declare const mistake: unique symbol;

/** The type of an option that cannot be given: no value has it, and the compiler's error shows its text. */
export interface Mistake<Text extends string> {
  readonly [mistake]: Text;
}
