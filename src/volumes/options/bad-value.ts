/** A value that is not taken. Its message is the rule that it breaks, as a clause that follows the option's name. */
export class BadValue extends Error {
  /** What to do, as an imperative sentence without its full stop; undefined where the rule says it. */
  readonly todo: string | undefined;

  constructor(rule: string, todo?: string) {
    super(rule);
    this.name = 'BadValue';
    this.todo = todo;
  }
}

/** Refuses a value. @throws BadValue */
export const bad = (rule: string, todo?: string): never => {
  throw new BadValue(rule, todo);
};
