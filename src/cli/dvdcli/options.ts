import { UsageError } from '../../flags.ts';

/**
 * Reads --volumeopts: each occurrence is a comma-separated list of KEY=VALUE. A key ends at the first "=". What stands in
 * double quotes may hold commas, and a quote written twice there is one; the quotes may be around a value or a whole part.
 * @throws UsageError for a part without a key or "=", a quote that is not closed, or one key with two values.
 */
export function readOptions(occurrences: readonly string[]): Readonly<Record<string, string>> {
  const options = new Map<string, string>();
  for (const part of occurrences.flatMap(splitList)) {
    const equals = part.indexOf('=');
    if (equals < 1) throw new UsageError(notAnOption(part));
    const [key, value] = [part.slice(0, equals), part.slice(equals + 1)];
    const earlier = options.get(key) ?? value;
    if (earlier !== value) throw new UsageError(`--volumeopts has ${key}=${earlier} and ${key}=${value}. Give one.`);
    options.set(key, value);
  }
  return Object.fromEntries(options);
}

const notAnOption = (part: string) =>
  `--volumeopts takes KEY=VALUE, not ${JSON.stringify(part)}. A value with commas goes in double quotes: --volumeopts='tags="a=b,c=d"'.`;

/** The parts of a list, without quotes; empty ones, as after a last comma, are left out. */
function splitList(list: string): string[] {
  const parts = [''];
  let quoted = false;
  for (let at = 0; at < list.length; at++) {
    const [here = '', next] = [list[at], list[at + 1]];
    const doubled = quoted && here === '"' && next === '"';
    if (doubled) at++;
    else if (here === '"') quoted = !quoted;
    if (here === ',' && !quoted) parts.push('');
    else if (doubled || here !== '"') parts.push(parts.pop() + here);
  }
  if (quoted) throw new UsageError(`--volumeopts=${list} has a double quote that is not closed.`);
  return parts.filter((part) => part !== '');
}
