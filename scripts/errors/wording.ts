import { member, members, nameOf, type Syntax } from './syntax.ts';

/** What the names in a place stand for: parameters by what was passed for them, constants by their values. */
export type Names = ReadonlyMap<string, { readonly node: Syntax; readonly names: Names }>;

/** Names that say too little without what they belong to. */
const vague = new Set(['id', 'name', 'state', 'zone', 'path', 'type', 'length', 'message', 'reason', 'why', 'text']);
/** Functions that only write their argument in another way. */
const quoting = new Set(['JSON.stringify', 'shellWord', 'String', 'stableName', 'nameOf', 'wordsOf', 'sentence']);
const deepest = 16;

const words = (name: string): string =>
  name
    .replace(/^#/, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase();
const hole = (name: string): string => `‹${words(name)}›`;

/**
 * The text that an expression gives, as a reader may meet it: what is only known when the program runs is a name in ‹…›,
 * what may be missing stands in […], and alternatives are separated by " / ".
 */
export function wording(node: Syntax | undefined, names: Names, depth = 0): string {
  if (node === undefined || depth > deepest) return '‹…›';
  const say = (part: Syntax | undefined) => wording(part, names, depth + 1);
  switch (node.type) {
    case 'Literal':
      return String(node['value']);
    case 'TemplateLiteral':
      return members(node, 'quasis')
        .map((quasi, index) => {
          const hasMore = members(node, 'expressions')[index];
          return `${cooked(quasi)}${hasMore === undefined ? '' : say(hasMore)}`;
        })
        .join('');
    case 'BinaryExpression':
      return calculated(String(node['operator']), say(member(node, 'left')), say(member(node, 'right')));
    case 'ConditionalExpression':
      return either(say(member(node, 'consequent')), say(member(node, 'alternate')));
    case 'LogicalExpression':
      return node['operator'] === '&&'
        ? say(member(node, 'right'))
        : either(say(member(node, 'left')), say(member(node, 'right')));
    case 'AwaitExpression':
      return say(member(node, 'argument'));
    case 'ChainExpression':
    case 'ParenthesizedExpression':
    case 'TSAsExpression':
    case 'TSNonNullExpression':
      return say(member(node, 'expression'));
    case 'Identifier':
      return named(String(node['name']), names, depth);
    case 'MemberExpression':
      return hole(called(node));
    case 'CallExpression':
      return ofCall(node, names, depth);
    default:
      return '‹…›';
  }
}

/** Texts put together, or a number where both sides are known. */
function calculated(operator: string, left: string, right: string): string {
  const [one, other] = [Number(left), Number(right)];
  const known = left !== '' && right !== '' && !Number.isNaN(one) && !Number.isNaN(other);
  if (operator === '+') return known ? String(one + other) : `${left}${right}`;
  if (operator === '/') return known ? String(one / other) : hole(left.replace(/[‹›]/g, '').replace(/ ms$/, ''));
  if (operator === '*' || operator === '-')
    return known ? String(operator === '*' ? one * other : one - other) : '‹number›';
  return '‹…›';
}

function cooked(quasi: Syntax): string {
  const value = quasi['value'];
  return typeof value === 'object' && value !== null && 'cooked' in value ? String(value.cooked) : '';
}

function either(one: string, other: string): string {
  if (one === other) return one;
  if (one === '' || other === '') return `[${one}${other}]`;
  return `(${one} / ${other})`;
}

function named(name: string, names: Names, depth: number): string {
  if (name === 'undefined') return '';
  const known = names.get(name);
  if (known === undefined) return hole(name);
  const text = wording(known.node, known.names, depth + 1);
  return text === '‹…›' ? hole(name) : text;
}

function called(node: Syntax): string {
  const key = nameOf(member(node, 'property')) ?? 'value';
  const object = member(node, 'object');
  const owner = nameOf(object) ?? nameOf(object && member(object, 'property'));
  return vague.has(key) && owner !== undefined && owner !== 'parts' ? `${owner} ${key}` : key;
}

function ofCall(node: Syntax, names: Names, depth: number): string {
  const callee = member(node, 'callee');
  const object = callee && member(callee, 'object');
  const method = callee && nameOf(member(callee, 'property'));
  const name = nameOf(callee) ?? `${nameOf(object) ?? ''}.${method ?? ''}`;
  const [first] = members(node, 'arguments');
  if (quoting.has(name))
    return name === 'JSON.stringify' ? `"${wording(first, names, depth + 1)}"` : wording(first, names, depth + 1);
  const known = names.get(nameOf(callee) ?? '');
  if (known !== undefined && isFunction(known.node)) {
    const given = bind(known.node, members(node, 'arguments'), names, known.names);
    return wording(answerOf(known.node), given, depth + 1) || hole(name);
  }
  // A method of a text or a list, as trim or join: what it is called on says what it is.
  if (object !== undefined && object.type !== 'Identifier') return wording(object, names, depth + 1);
  return hole(nameOf(object) ?? name);
}

export const isFunction = (node: Syntax): boolean => /Function(?:Expression|Declaration)$/.test(node.type);

/** The expression that a function gives where it has but one; undefined for others. */
function answerOf(node: Syntax): Syntax | undefined {
  const body = member(node, 'body');
  if (body?.type !== 'BlockStatement') return body;
  const last = members(body, 'body').at(-1);
  return last?.type === 'ReturnStatement' ? member(last, 'argument') : undefined;
}

/** The names of a function's parameters for a call, in front of those that it sees from where it stands. */
export function bind(node: Syntax, given: readonly Syntax[], at: Names, outer: Names): Names {
  const bound = new Map(outer);
  members(node, 'params').forEach((parameter, index) => {
    const value = given[index];
    const name = nameOf(parameter);
    if (name !== undefined) {
      if (value === undefined) bound.delete(name);
      else bound.set(name, { node: value, names: at });
    }
    if (parameter.type === 'ObjectPattern') bindParts(parameter, value, at, bound);
  });
  return bound;
}

function bindParts(
  pattern: Syntax,
  value: Syntax | undefined,
  at: Names,
  bound: Map<string, { node: Syntax; names: Names }>,
) {
  for (const part of members(pattern, 'properties')) {
    const name = nameOf(member(part, 'value'));
    if (name === undefined) continue;
    const found =
      value?.type === 'ObjectExpression'
        ? members(value, 'properties').find((each) => nameOf(member(each, 'key')) === nameOf(member(part, 'key')))
        : undefined;
    const given = found && member(found, 'value');
    if (given === undefined) bound.delete(name);
    else bound.set(name, { node: given, names: at });
  }
}

/** The words of a text that are always the same: all of a literal, what stands between the holes of a template. */
export const fixedParts = (node: Syntax): string[] =>
  (node.type === 'Literal' ? [String(node['value'])] : members(node, 'quasis').map(cooked)).filter((part) =>
    /\S+\s+\S/.test(part),
  );

/** True for a literal or template of three words and more. */
export const isText = (node: Syntax): boolean =>
  (node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node['value'] === 'string')) &&
  /\S+\s+\S+\s+\S/.test(wording(node, new Map()).replace(/‹[^›]*›/g, 'x'));
