import { Ec2Error, invalid } from './ec2-error.ts';
import { type Query, text, texts, whole } from './query.ts';

interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken: string | undefined;
}

/** The ids of a listing, read before anything is looked up. @throws Ec2Error InvalidParameterCombination with MaxResults */
export function listedIds(query: Query, name: string): string[] {
  const ids = texts(query, name);
  if (ids.length === 0 || whole(query, 'MaxResults') === undefined) return ids;
  throw new Ec2Error('InvalidParameterCombination', 'The parameter maxResults cannot be used together with ids');
}

/**
 * Cuts one page as MaxResults and NextToken say. Records come in the order of their ids, so that a page never loses
 * one because another went away in between. MaxResults above 1000 counts as 1000.
 * @throws Ec2Error InvalidParameterValue below 5, InvalidPaginationToken
 */
export function page<T extends { readonly id: string }>(records: readonly T[], query: Query): Page<T> {
  const wanted = whole(query, 'MaxResults');
  if (wanted !== undefined && wanted < 5) {
    throw invalid(`Value ( ${wanted} ) for parameter maxResults is invalid. Expecting a value greater than 5.`);
  }
  const after = readToken(text(query, 'NextToken'));
  const rest = records.filter(({ id }) => id > after).sort((a, b) => (a.id < b.id ? -1 : 1));
  const limit = wanted === undefined ? rest.length : Math.min(wanted, 1000);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return { items, nextToken: rest.length > limit && last !== undefined ? writeToken(last.id) : undefined };
}

const writeToken = (id: string): string => Buffer.from(`after ${id}`).toString('base64url');

function readToken(token: string | undefined): string {
  if (token === undefined) return '';
  const [, id] = /^after ([a-z]+-[0-9a-f]+(?: [\s\S]*)?)$/.exec(Buffer.from(token, 'base64url').toString()) ?? [];
  if (id === undefined) throw new Ec2Error('InvalidPaginationToken', 'The specified pagination token is not valid');
  return id;
}
