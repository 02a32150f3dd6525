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

/** Lines that belong together: a paragraph, or an entry of a list with what continues it, which stands further in. */
function blocksOf(lines: readonly string[]): string[][] {
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
  return before === 0 ? now === 0 : now > before;
}

const indentOf = (line: string): number => /^ */.exec(line)?.[0].length ?? 0;

function filled(block: readonly string[], width: number): string[] {
  const [first = '', ...rest] = block;
  const text = [first.trimEnd(), ...rest.map((line) => line.trim())].join(' ');
  if (text.length <= width) return rest.length === 0 ? [first] : [...block];
  const [label = ''] = /^ +(?:\S+ )*?\S+ {2,}(?=\S)/.exec(first) ?? [];
  // A label that leaves no room has its text below.
  const hang = label === '' ? indentOf(first) : Math.min(label.length, 8);
  if (label !== '' && label.length > width / 2) {
    return [label.trimEnd(), ...wrapped(text.slice(label.length), width, ' '.repeat(hang))];
  }
  const place = ' '.repeat(label === '' ? hang : label.length);
  const [start = '', ...more] = wrapped(text.slice(place.length), width, place);
  return [text.slice(0, place.length) + start.slice(place.length), ...more];
}
