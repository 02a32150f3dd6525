import { invalid, missing } from './ec2-error.ts';

/** A call's parameters, nested as their dotted names say: "Filter.1.Value.2" is Filter → 1 → Value → 2. */
export type Query = { readonly [name: string]: string | Query };
type Tree = { [name: string]: string | Tree };

const tree = (): Tree => Object.create(null) as Tree;

/** Decodes an application/x-www-form-urlencoded body or URL query into nested parameters. */
export function decodeQuery(form: string): Query {
  const root = tree();
  for (const [name, value] of new URLSearchParams(form)) place(root, name.split('.'), value);
  return root;
}

function place(root: Tree, path: readonly string[], value: string): void {
  let at = root;
  for (const step of path.slice(0, -1)) {
    const known = at[step];
    const next = typeof known === 'object' ? known : tree();
    at[step] = next;
    at = next;
  }
  const last = path.at(-1) ?? '';
  if (typeof at[last] !== 'object') at[last] = value;
}

/** A parameter's text; undefined when absent or empty. */
export function text(query: Query, name: string): string | undefined {
  const value = query[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A parameter's text. @throws Ec2Error MissingParameter */
export function requiredText(query: Query, name: string): string {
  const value = text(query, name);
  if (value === undefined) throw missing(name.charAt(0).toLowerCase() + name.slice(1));
  return value;
}

/** A whole number; undefined when absent. @throws Ec2Error InvalidParameterValue */
export function whole(query: Query, name: string): number | undefined {
  const value = text(query, name);
  if (value === undefined) return undefined;
  if (!/^-?\d+$/.test(value)) throw invalid(`Invalid integer value ${value} for parameter ${name}`);
  return Number(value);
}

/** True only for the text "true". */
export const flag = (query: Query, name: string): boolean => text(query, name)?.toLowerCase() === 'true';

function members(query: Query, name: string): (string | Query)[] {
  const list = query[name];
  if (typeof list !== 'object') return [];
  return Object.entries(list)
    .filter(([index]) => /^\d+$/.test(index))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, member]) => member);
}

/** A list of texts, as VolumeId.1, VolumeId.2. */
export const texts = (query: Query, name: string): string[] =>
  members(query, name).filter((member) => typeof member === 'string');

/** A list of structures, as Tag.1.Key, Tag.1.Value. */
export const groups = (query: Query, name: string): Query[] =>
  members(query, name).filter((member) => typeof member === 'object');
