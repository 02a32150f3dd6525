import { Ec2Error, invalid } from './ec2-error.ts';
import { groups, type Query, text, texts } from './query.ts';

/** One Filter.N: a record matches when any of its values does. */
interface Filter {
  readonly name: string;
  readonly values: readonly string[];
}

/** For each filter name, the values a record has for it. */
export type FilterFields<T> = { readonly [name: string]: (record: T) => readonly (string | undefined)[] };

const maxValues = 200;

/** Reads Filter.N. @throws Ec2Error FilterLimitExceeded above 200 values in one call */
export function readFilters(query: Query): Filter[] {
  const filters = groups(query, 'Filter').map((group) => ({
    name: text(group, 'Name') ?? '',
    values: texts(group, 'Value'),
  }));
  const values = filters.reduce((sum, filter) => sum + filter.values.length, 0);
  if (values <= maxValues) return filters;
  throw new Ec2Error('FilterLimitExceeded', `The maximum number of filter values is ${maxValues}`);
}

/** A filter value as a pattern: `*` any text, `?` any character, a backslash takes the next one literally. */
export function wildcard(value: string): RegExp {
  const source = value.replace(/\\?[\s\S]/g, (piece) => {
    if (piece === '*') return '[\\s\\S]*';
    if (piece === '?') return '[\\s\\S]';
    const literal = piece.length > 1 && piece.startsWith('\\') ? piece.slice(1) : piece;
    return literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}

type Tagged = { readonly tags: Readonly<Record<string, string>> };

function valuesOf<T extends Tagged>(record: T, name: string, fields: FilterFields<T>): readonly (string | undefined)[] {
  if (name.startsWith('tag:')) return [record.tags[name.slice(4)]];
  if (name === 'tag-key') return Object.keys(record.tags);
  if (name === 'tag-value') return Object.values(record.tags);
  const field = fields[name];
  if (field === undefined) throw invalid(`The filter '${name}' is invalid`);
  return field(record);
}

/**
 * The records that match every filter.
 * @throws Ec2Error InvalidParameterValue for a filter name that `fields` does not know
 */
export function applyFilters<T extends Tagged>(
  records: readonly T[],
  filters: readonly Filter[],
  fields: FilterFields<T>,
): T[] {
  for (const { name } of filters) {
    if (!name.startsWith('tag') && fields[name] === undefined) throw invalid(`The filter '${name}' is invalid`);
  }
  const tests = filters.map((filter) => ({ name: filter.name, patterns: filter.values.map(wildcard) }));
  return records.filter((record) =>
    tests.every(({ name, patterns }) =>
      valuesOf(record, name, fields).some(
        (value) => value !== undefined && patterns.some((pattern) => pattern.test(value)),
      ),
    ),
  );
}
