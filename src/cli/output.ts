import { wrapped } from './table.ts';

/** Of the terminal; undefined where the output goes elsewhere, or to one that does not know its size (a serial console: 0). */
export const terminalWidth = (stream: NodeJS.WriteStream = process.stdout): number | undefined =>
  stream.isTTY ? stream.columns || undefined : undefined;

/** Prints lines, each wrapped between words where a terminal is too narrow for it; elsewhere as they are. */
export function print(text: string): void {
  process.stdout.write(fitted(text, terminalWidth()));
}

/** Prints what must stay as it is: JSON, commands to copy, scripts. */
export function printAsIs(text: string): void {
  process.stdout.write(text);
}

/** The answer of the daemon as JSON, without the envelope's own field. */
export function printJson(answer: object): void {
  printAsIs(`${JSON.stringify(Array.isArray(answer) ? answer : { ...answer, Err: undefined }, undefined, 2)}\n`);
}

/** Tells on standard error, wrapped as {@link print} does. */
export function tell(text: string): void {
  process.stderr.write(fitted(text, terminalWidth(process.stderr)));
}

/**
 * A text in lines of at most `width` places, each continued below its first word; undefined leaves it as it is. Pure.
 * A line that is a command to copy, which begins with two spaces and the name of a program, stays whole.
 */
export function fitted(text: string, width: number | undefined): string {
  if (width === undefined) return text;
  return text
    .split('\n')
    .flatMap((line) => (line.length <= width || isCommand(line) ? [line] : continued(line, width)))
    .join('\n');
}

const isCommand = (line: string): boolean =>
  /^ +(?:docker|docker-volume-ebs|aws|e2fsck|xfs_repair|btrfs|umount|mount|cp) /.test(line);

function continued(line: string, width: number): string[] {
  const [indent = ''] = /^ */.exec(line) ?? [];
  // What a label of two or more spaces introduces is continued below it.
  const [label = ''] = /^ *\S+(?: \S+)*? {2,}(?=\S)/.exec(line) ?? [];
  const hang = label.length > 0 && label.length <= width / 2 ? label.length : indent.length;
  const [first = '', ...rest] = wrapped(line.slice(hang).trimEnd(), width, ' '.repeat(hang));
  return [line.slice(0, hang) + first.slice(hang), ...rest];
}
