import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAst } from 'rolldown/parseAst';

/** A node of ESTree, as far as texts are looked for in it. */
export interface Syntax {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [member: string]: unknown;
}

/** A node with the nodes that it is in, the outermost first. */
export interface Found {
  readonly node: Syntax;
  readonly above: readonly Syntax[];
}

/** A source file of the program, relative to the project, with all its nodes. */
export interface Source {
  readonly file: string;
  readonly nodes: readonly Found[];
}

export const isSyntax = (value: unknown): value is Syntax =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';

/** The node that a member holds; undefined for none. */
export const member = (node: Syntax, name: string): Syntax | undefined => {
  const value = node[name];
  return isSyntax(value) ? value : undefined;
};

export const members = (node: Syntax, name: string): Syntax[] => {
  const value = node[name];
  return Array.isArray(value) ? value.filter(isSyntax) : [];
};

/** The name of an identifier; undefined for other nodes. */
export const nameOf = (node: Syntax | undefined): string | undefined =>
  node?.type === 'Identifier' ? String(node['name']) : undefined;

/** What of an object expression stands under a key. */
export function property(object: Syntax, key: string): Syntax | undefined {
  const found = members(object, 'properties').find((each) => {
    const name = member(each, 'key');
    return each.type === 'Property' && name !== undefined && (nameOf(name) ?? name['value']) === key;
  });
  return found && member(found, 'value');
}

/** The program's sources. The sandbox is left out: it speaks to whoever develops or demonstrates. */
export function readSources(project: string): Source[] {
  const files = globSync('src/**/*.ts', { cwd: project }).sort();
  return files
    .filter((file) => !/^src\/(?:cli\/)?(?:sandbox|demo)\//.test(file))
    .map((file) => {
      const nodes: Found[] = [];
      collect(parseAst(readFileSync(join(project, file), 'utf8'), { lang: 'ts' }), [], nodes);
      return { file, nodes };
    });
}

function collect(value: unknown, above: readonly Syntax[], nodes: Found[]): void {
  if (Array.isArray(value)) for (const each of value) collect(each, above, nodes);
  if (!isSyntax(value) || value.type.startsWith('TS')) {
    // What a type says reaches nobody; a value "as" a type does.
    if (isSyntax(value)) collect(value['expression'], above, nodes);
    return;
  }
  nodes.push({ node: value, above });
  for (const each of Object.values(value)) collect(each, [...above, value], nodes);
}
