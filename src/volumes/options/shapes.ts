import { nearest } from '../../spelling.ts';

/** Judges a value: the rule that it breaks, as a clause that follows the name of what takes it; undefined where it fits. */
export type Shape = (text: string) => string | undefined;

/** What may stand behind a word, after "=" in a list or after a flag: nothing, a value, or either. */
export interface Word {
  readonly alone: boolean;
  readonly value?: Shape;
}

export type Words = Readonly<Record<string, Word>>;

/** What may be asked of one filesystem: only what is listed reaches a tool that runs as root. */
export interface FilesystemWords {
  /** Flags of its mkfs, short and long: what people set, and nothing that names a file, another disk or a dry run. */
  readonly mkfs: Words;
  /** Flags that its mkfs heeds only once, the last time that they are given. */
  readonly once: readonly string[];
  /** Mount options of its own, besides those of every filesystem. */
  readonly mount: Words;
  /** Options that every mount of it begins with. */
  readonly always: readonly string[];
  /** Options that the kernel refuses, or that do harm, unless one of these is there, too. */
  readonly needs: Readonly<Record<string, readonly string[]>>;
  /** Pairs of options that the kernel refuses together. */
  readonly apart: readonly (readonly [string, string])[];
}

export const alone: Word = { alone: true };
export const valued = (value: Shape): Word => ({ alone: false, value });
export const either = (value: Shape): Word => ({ alone: true, value });

/** The same word for several names. */
export const each = (names: string, word: Word): Words =>
  Object.fromEntries(names.split(' ').map((name) => [name, word]));

const unless = (fits: boolean, takes: string, text: string) =>
  fits ? undefined : `takes ${takes}, not ${JSON.stringify(text)}`;

export const whole =
  (min: number, max: number): Shape =>
  (text) =>
    unless(
      /^\d{1,16}$/.test(text) && Number(text) >= min && Number(text) <= max,
      `a whole number from ${min} to ${max}`,
      text,
    );

export const powerOfTwo =
  (min: number, max: number): Shape =>
  (text) =>
    unless(
      /^\d{1,10}$/.test(text) &&
        Number(text) >= min &&
        Number(text) <= max &&
        Number.isInteger(Math.log2(Number(text))),
      `a power of two from ${min} to ${max}`,
      text,
    );

export const among =
  (...values: readonly string[]): Shape =>
  (text) =>
    unless(values.includes(text), values.length === 1 ? `only ${values[0]}` : `one of ${values.join(', ')}`, text);

/** @param pattern matches the whole text. */
export const matching =
  (pattern: RegExp, takes: string): Shape =>
  (text) =>
    unless(pattern.test(text), takes, text);

export const onOff = among('0', '1');
export const size = matching(/^\d{1,15}[kmgt]?$/i, 'a size in bytes, as 65536 or 64k');
export const uuid = matching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'a UUID');
/** @param bytes how many it may have. */
export const label = (bytes: number): Shape =>
  matching(
    new RegExp(`^[A-Za-z0-9_.][A-Za-z0-9_.:+-]{0,${bytes - 1}}$`),
    `a label of at most ${bytes} letters, digits and "_.:+-"`,
  );

/** Names separated by commas, each perhaps with "^" before it, which takes it off. */
export const features =
  (...names: readonly string[]): Shape =>
  (text) => {
    const unknown = text.split(',').find((name) => !names.includes(name.replace(/^\^/, '')));
    return unknown === undefined ? undefined : `takes no ${JSON.stringify(unknown)}${guess(unknown, names)}`;
  };

/** Words separated by commas, as `a,b=1`. */
export const list =
  (words: Words): Shape =>
  (text) => {
    for (const word of text.split(',')) {
      const rule = judge(word, words);
      if (rule !== undefined) return `holds ${JSON.stringify(word)}: ${rule}`;
    }
    return undefined;
  };

/** The rule that a word, as `a` or `b=1`, breaks, as a whole clause; undefined for one that is taken. */
export function judge(word: string, words: Words): string | undefined {
  const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
  const known = Object.hasOwn(words, name) ? words[name] : undefined;
  if (known === undefined) return `there is no ${JSON.stringify(name)} here${guess(name, Object.keys(words))}`;
  if (value === undefined) return known.alone ? undefined : `${name} needs a value, as ${name}=…`;
  if (known.value === undefined) return `${name} takes no value`;
  const rule = known.value(value);
  return rule === undefined ? undefined : `${name} ${rule}`;
}

function guess(word: string, known: readonly string[]): string {
  const meant = nearest(word, known);
  return meant === undefined ? '' : ` (did you mean ${meant}?)`;
}
