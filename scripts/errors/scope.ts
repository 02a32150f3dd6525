import { join, normalize } from 'node:path';
import { type Found, member, members, nameOf, type Source, type Syntax } from './syntax.ts';
import { bind, isFunction, type Names } from './wording.ts';

/** Where names come from: what each file declares at its top, and what it imports from which. */
interface Module {
  readonly declared: ReadonlyMap<string, Syntax>;
  readonly imported: ReadonlyMap<string, string>;
}

/** A call of a function, and where it stands. */
interface Call extends Found {
  readonly file: string;
}

/** Looks names up as the program does: in the functions around, in the file, in the files that it imports. */
export class Scope {
  readonly #modules: ReadonlyMap<string, Module>;
  readonly #calls = new Map<string, Call[]>();

  constructor(sources: readonly Source[]) {
    this.#modules = new Map(sources.map((source) => [source.file, moduleOf(source)]));
    for (const { file, nodes } of sources)
      for (const found of nodes) {
        const name = found.node.type === 'CallExpression' ? nameOf(member(found.node, 'callee')) : undefined;
        if (name !== undefined) this.#calls.set(name, [...(this.#calls.get(name) ?? []), { ...found, file }]);
      }
  }

  /** What the names mean in a place of a file. */
  namesAt(file: string, above: readonly Syntax[]): Names {
    const names = new Map(this.#namesOf(file));
    for (const around of above) {
      if (isFunction(around)) for (const parameter of members(around, 'params')) forget(parameter, names);
      for (const [name, node] of constantsIn(around)) names.set(name, { node, names });
    }
    return names;
  }

  /** The calls of a function that a file declares, by name, in it and in the files that import it. */
  callsOf(name: string, file: string): Call[] {
    return (this.#calls.get(name) ?? []).filter(
      (call) => call.file === file || this.#modules.get(call.file)?.imported.get(name) === file,
    );
  }

  /** The names inside a function as one of its calls sets them. */
  namesOfCall(around: Syntax, call: Call, above: readonly Syntax[], file: string, at: Names): Names {
    const bound = new Map(bind(around, members(call.node, 'arguments'), at, this.namesAt(file, above)));
    for (const [name, node] of constantsIn(member(around, 'body'))) bound.set(name, { node, names: bound });
    return bound;
  }

  #namesOf(file: string): Names {
    const names = new Map<string, { node: Syntax; names: Names }>();
    const own = this.#modules.get(file);
    for (const [name, from] of own?.imported ?? []) {
      const node = this.#modules.get(from)?.declared.get(name);
      // Deeper than that nobody looks: a text is made of its own file's names and of what it imports.
      if (node !== undefined) names.set(name, { node, names: this.#declaredIn(from) });
    }
    for (const [name, node] of own?.declared ?? []) names.set(name, { node, names });
    return names;
  }

  #declaredIn(file: string): Names {
    const names = new Map<string, { node: Syntax; names: Names }>();
    for (const [name, node] of this.#modules.get(file)?.declared ?? []) names.set(name, { node, names });
    return names;
  }
}

function moduleOf({ file, nodes }: Source): Module {
  const declared = new Map<string, Syntax>();
  const imported = new Map<string, string>();
  for (const { node, above } of nodes) {
    const isTop = above.every(({ type }) =>
      ['Program', 'ExportNamedDeclaration', 'VariableDeclaration'].includes(type),
    );
    const name = nameOf(member(node, 'id'));
    const value = node.type === 'FunctionDeclaration' ? node : member(node, 'init');
    if (isTop && name !== undefined && value !== undefined) declared.set(name, value);
    if (node.type !== 'ImportDeclaration') continue;
    const from = normalize(join(file, '..', String(member(node, 'source')?.['value'])));
    for (const each of members(node, 'specifiers')) {
      const local = nameOf(member(each, 'local'));
      if (local !== undefined) imported.set(local, from);
    }
  }
  return { declared, imported };
}

function forget(parameter: Syntax, names: Map<string, unknown>): void {
  const name = nameOf(parameter);
  if (name !== undefined) names.delete(name);
  for (const part of members(parameter, 'properties')) {
    const inner = nameOf(member(part, 'value'));
    if (inner !== undefined) names.delete(inner);
  }
}

function constantsIn(body: Syntax | undefined): [string, Syntax][] {
  if (body?.type !== 'BlockStatement') return [];
  return members(body, 'body').flatMap((statement) =>
    statement.type !== 'VariableDeclaration' || statement['kind'] !== 'const'
      ? []
      : members(statement, 'declarations').flatMap((each): [string, Syntax][] => {
          const [name, value] = [nameOf(member(each, 'id')), member(each, 'init')];
          return name === undefined || value === undefined ? [] : [[name, value]];
        }),
  );
}
