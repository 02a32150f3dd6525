import { Scope } from './scope.ts';
import { type Found, member, members, nameOf, property, type Source, type Syntax } from './syntax.ts';
import { fixedParts, isFunction, isText, type Names, wording } from './wording.ts';

/** An error as the reader meets it, in the words of {@link wording}. */
export interface ErrorText {
  readonly code: string;
  readonly tried: string;
  readonly why: string;
  readonly todo: string;
}

export interface LogText {
  readonly level: string;
  readonly text: string;
}

/** Everything that the program says, sorted out. */
export interface Texts {
  readonly errors: readonly ErrorText[];
  /** What a wrong command line is answered with. */
  readonly usage: readonly string[];
  readonly log: readonly LogText[];
  /** What is found, and what to do. */
  readonly doctor: readonly (readonly [found: string, todo: string])[];
  /** By folder: what completes a sentence of the others, or is shown by a command. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

const wordsOfEc2 = "‹EC2's own words›";
const levels = ['info', 'warn', 'error', 'fatal'];

interface Sorting {
  readonly errors: ErrorText[];
  readonly usage: string[];
  readonly log: LogText[];
  readonly doctor: [string, string][];
  readonly parts: Map<string, string[]>;
}

/** Sorts all texts of the sources; none is left out but help, settings and the names of things. */
export function collectTexts(sources: readonly Source[]): Texts {
  const scope = new Scope(sources);
  const sorting: Sorting = { errors: [], usage: [], log: [], doctor: [], parts: new Map() };
  for (const source of sources) {
    for (const found of source.nodes) sortOne(scope, source.file, found, sorting);
  }
  let whole = JSON.stringify([sorting.errors, sorting.usage, sorting.log, sorting.doctor]);
  const isTold = (text: string) => whole.includes(JSON.stringify(text).slice(1, -1));
  for (const { file, nodes } of sources) {
    const folder = file.split('/').slice(1, -1).join('/') || file.slice(4);
    for (const { node, above } of textsIn(nodes)) {
      if (fixedParts(node).every(isTold)) continue;
      const text = wording(node, scope.namesAt(file, above)).trim();
      whole += JSON.stringify(text);
      sorting.parts.set(folder, [...(sorting.parts.get(folder) ?? []), text]);
    }
  }
  return sorting;
}

/** The texts that people may read among the nodes of a file. */
export const textsIn = (nodes: readonly Found[]): Found[] =>
  nodes.filter(({ node, above }) => isText(node) && !isSilent(above));

/** Puts what a node says where it belongs. */
function sortOne(scope: Scope, file: string, found: Found, { errors, usage, log, doctor }: Sorting): void {
  const { node, above } = found;
  const say = (part: Syntax | undefined) =>
    part === undefined ? '' : wording(part, scope.namesAt(file, above)).trim();
  const site = errorSite(node, file);
  const line = logLine(node);
  // One that is thrown again with another part has its words from elsewhere.
  if (site !== undefined) errors.push(...expand(scope, file, found, site).filter(({ code }) => !code.startsWith('‹')));
  else if (isAdviceByCode(node))
    for (const each of members(node, 'properties')) {
      const code = nameOf(member(each, 'key')) ?? '';
      errors.push({ code, tried: '‹make the call›', why: wordsOfEc2, todo: say(member(each, 'value')) });
    }
  else if (nameOf(member(node, 'callee')) === 'UsageError') usage.push(say(members(node, 'arguments')[0]));
  else if (line !== undefined) log.push({ level: line.level, text: say(line.text) });
  else if (node.type === 'ObjectExpression' && property(node, 'found') !== undefined)
    doctor.push([say(property(node, 'found')), say(property(node, 'todo'))]);
}

/** A table of what to do, by the code of the error. */
function isAdviceByCode(node: Syntax): boolean {
  const all = node.type === 'ObjectExpression' ? members(node, 'properties') : [];
  return (
    all.length > 2 &&
    all.every((each) => /^[A-Z0-9]+(_[A-Z0-9]+)+$/.test(nameOf(member(each, 'key')) ?? '')) &&
    all.every((each) => member(each, 'value')?.type === 'Literal')
  );
}

/** Help, what a live check would do, settings and units: they are read elsewhere. */
const silent = [
  'usage',
  'overview',
  'plan',
  'settingsTable',
  'settingsHelp',
  'settingsMarkdown',
  'rexrayMarkdown',
  'RegExp',
  'serviceUnit',
  'socketUnit',
  'editing',
  'users',
];

function isSilent(above: readonly Syntax[]): boolean {
  const names = above.flatMap((node) => [nameOf(member(node, 'id')), nameOf(member(node, 'callee'))]);
  return names.some((name) => silent.includes(name ?? ''));
}

interface Site {
  readonly code: Syntax | string;
  readonly parts: Syntax;
  /** True for what an answer of EC2 means. */
  readonly isReading?: boolean;
}

/** `new DriverError(code, parts)`, or the reason and advice about an owner, which become one. */
function errorSite(node: Syntax, file: string): Site | undefined {
  if (node.type === 'NewExpression' && nameOf(member(node, 'callee')) === 'DriverError') {
    const [code, parts] = members(node, 'arguments');
    return code === undefined || parts === undefined ? undefined : { code, parts };
  }
  if (node.type !== 'ObjectExpression') return undefined;
  const code = property(node, 'code');
  // What a refusal of EC2 by this name and these words means.
  if (code?.type === 'Literal' && property(node, 'todo') !== undefined) return { code, parts: node, isReading: true };
  if (!file.startsWith('src/fencing/')) return undefined;
  const isReason = property(node, 'reason') !== undefined && property(node, 'todo') !== undefined;
  return isReason ? { code: 'ATTACHED_ELSEWHERE', parts: node } : undefined;
}

/** The errors of a place; one for each call of the function that it is in, where its words are passed to that. */
function expand(scope: Scope, file: string, { above }: Found, site: Site): ErrorText[] {
  const plain = scope.namesAt(file, above);
  const all = byCalls(scope, file, above, site.parts, plain, 0);
  return all.map((names) => {
    const part = (...keys: readonly string[]) => {
      const found = keys.map((key) => partOf(site.parts, key, names)).find((each) => each !== undefined);
      return found === undefined ? undefined : wording(found, names).trim();
    };
    return {
      code: typeof site.code === 'string' ? site.code : wording(site.code, names),
      // A reason about an owner is told when its volume is wanted here.
      tried: part('tried') ?? (site.isReading ? '‹make the call›' : 'attach ‹volume id› to ‹instance id›'),
      why: part('why', 'reason') ?? wordsOfEc2,
      todo: part('todo') ?? '',
    };
  });
}

/** A part that stands in the object, or in one that is spread into it. */
function partOf(parts: Syntax, key: string, names: Names): Syntax | undefined {
  const own = property(parts, key);
  if (own !== undefined) return own;
  for (const each of members(parts, 'properties')) {
    const spread = nameOf(member(each, 'argument'));
    const known = spread === undefined ? undefined : names.get(spread)?.node;
    const found = known && property(known, key);
    if (found !== undefined) return found;
  }
  return undefined;
}

function byCalls(
  scope: Scope,
  file: string,
  above: readonly Syntax[],
  parts: Syntax,
  plain: Names,
  depth: number,
): Names[] {
  const place = above.findLastIndex((node) => isFunction(node) && mentions(parts, parametersOf(node)));
  const around = above[place];
  const name = around && functionName(around, above.slice(0, place));
  if (around === undefined || name === undefined || depth > 3) return [plain];
  const calls = scope.callsOf(name, file);
  if (calls.length === 0) return [plain];
  return calls.flatMap((call) => {
    const given = { type: 'Arguments', start: 0, end: 0, list: call.node['arguments'] };
    const at = byCalls(scope, call.file, call.above, given, scope.namesAt(call.file, call.above), depth + 1);
    return at.map((names) => scope.namesOfCall(around, call, above.slice(0, place), file, names));
  });
}

function functionName(node: Syntax, above: readonly Syntax[]): string | undefined {
  const parent = above.at(-1);
  return (
    nameOf(member(node, 'id')) ?? (parent?.type === 'VariableDeclarator' ? nameOf(member(parent, 'id')) : undefined)
  );
}

function parametersOf(node: Syntax): string[] {
  return members(node, 'params').flatMap((parameter) =>
    [
      nameOf(parameter) ?? [],
      ...members(parameter, 'properties').map((part) => nameOf(member(part, 'value')) ?? []),
    ].flat(),
  );
}

/** Names that carry words, not things. */
const wordy = new Set([
  'why',
  'todo',
  'tried',
  'reason',
  'rule',
  'what',
  'first',
  'problem',
  'message',
  'parts',
  'situation',
]);

function mentions(parts: Syntax, parameters: readonly string[]): boolean {
  const wanted = parameters.filter((name) => wordy.has(name));
  const text = JSON.stringify(parts);
  return wanted.some(
    (name) => text.includes(`"type":"Identifier","name":"${name}"`) || new RegExp(`"name":"${name}"`).test(text),
  );
}

function logLine(node: Syntax): { level: string; text: Syntax } | undefined {
  const callee = node.type === 'CallExpression' ? member(node, 'callee') : undefined;
  const level = callee && nameOf(member(callee, 'property'));
  if (callee === undefined || level === undefined || !levels.includes(level)) return undefined;
  const of = member(callee, 'object');
  const object = nameOf(of) ?? nameOf(of && member(of, 'property'));
  const text = members(node, 'arguments').at(-1);
  return object === 'log' && text !== undefined && text.type !== 'ObjectExpression' ? { level, text } : undefined;
}
