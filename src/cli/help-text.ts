import { printAsIs, terminalWidth } from './output.ts';
import { wrapped } from './table.ts';

/** Prints a help text as wide as the terminal is. */
export function printHelp(text: string): void {
  printAsIs(reflowed(text, terminalWidth() ?? Number.POSITIVE_INFINITY));
}

/**
 * A help text in lines of at most `width` places: paragraphs are filled anew, what stands beside an option or a command stays
 * beside it, and examples stay as they are. Pure.
 */
export function reflowed(text: string, width: number): string {
  if (text.split('\n').every((line) => line.length <= width)) return text;
  return `${blocksOf(text.trimEnd().split('\n'))
    .flatMap((block) => filled(block, width))
    .join('\n')}\n`;
}

/** Lines that belong together: a paragraph, or an entry of a list with what continues it, which stands further in. Pure. */
export function blocksOf(lines: readonly string[]): string[][] {
  const blocks: string[][] = [];
  for (const line of lines) {
    const last = blocks.at(-1);
    if (last !== undefined && goesOn(last[0] ?? '', line)) last.push(line);
    else blocks.push([line]);
  }
  return blocks;
}

function goesOn(first: string, line: string): boolean {
  if (first === '' || line === '') return false;
  const [before, now] = [indentOf(first), indentOf(line)];
  // A flag of the entry above, an entry itself.
  if (/^ +-{1,2}\w/.test(line)) return false;
  if (labelOf(line) !== '' && now <= before) return false;
  return before === 0 && labelOf(first) === '' ? now === 0 : now > before;
}

const indentOf = (line: string): number => /^ */.exec(line)?.[0].length ?? 0;

/** What an entry of a list is about, and what is said of it; undefined for a block that is no entry. Pure. */
export function entryOf([first = '', ...rest]: readonly string[]): { label: string; text: string } | undefined {
  if (indentOf(first) === 0 && labelOf(first) === '') return undefined;
  const label = labelOf(first) || (rest.length > 0 ? first : '');
  if (label === '') return undefined;
  const text = [first.slice(label.length), ...rest].map((line) => line.trim()).join(' ');
  return { label: label.trim(), text: text.trim() };
}

/** With the spaces that end it. */
const labelOf = (line: string): string => /^ *(?:\S+ )*?\S+ {2,}(?=\S)/.exec(line)?.[0] ?? '';

function filled(block: readonly string[], width: number): string[] {
  const [first = '', ...rest] = block;
  const text = [first.trimEnd(), ...rest.map((line) => line.trim())].join(' ');
  if (text.length <= width) return rest.length === 0 ? [first] : [...block];
  const label = labelOf(first);
  const below = indentOf(rest[0] ?? '');
  if (label === '' && indentOf(first) > 0 && below > indentOf(first)) {
    const texts = wrapped(rest.map((line) => line.trim()).join(' '), width, ' '.repeat(Math.min(below, width / 2)));
    return [...wrapped(first.trim(), width, ' '.repeat(indentOf(first))), ...texts];
  }
  // A label that leaves no room has its text below.
  const hang = label === '' ? indentOf(first) : Math.min(label.length, 8);
  if (label !== '' && label.length > width / 2) {
    return [label.trimEnd(), ...wrapped(text.slice(label.length), width, ' '.repeat(hang))];
  }
  const place = ' '.repeat(label === '' ? hang : label.length);
  const [start = '', ...more] = wrapped(text.slice(place.length), width, place);
  return [text.slice(0, place.length) + start.slice(place.length), ...more];
}
