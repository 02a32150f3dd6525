import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Typed } from './terminal.ts';

const marker = '### ';
/** A person reads in the other terminal when it is stopped. */
const untilStopped = `until ec2 describe-instances --query 'Reservations[].Instances[].State.Name' | grep -q stopped; do sleep 0.2; done`;

/**
 * Types what `npm run sandbox` says to type, from the first export to the mount on the second instance.
 * @param printed what it printed @returns each command after the preparations, with its output @throws Error where one fails
 */
export async function walkAsPrinted(printed: string): Promise<Typed[]> {
  const lines = printed.split('\n').filter((line) => line.startsWith('  '));
  const first = lines.findIndex((line) => line.startsWith('  export '));
  const way = lines.slice(first, lines.findIndex((line) => line.startsWith('  cat ')) + 1);
  const begin = way.findIndex((line) => line.startsWith('  file='));
  const steps = way.slice(begin).map((line) => line.replace(/ +# .*$/, '').trim());
  const script = [
    ...way.slice(0, begin),
    ...steps.flatMap((step) => [`echo '${marker}'`, step, ...(step.includes('stop-instances') ? [untilStopped] : [])]),
  ].join('\n');
  const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script]);
  const outputs = stdout.split(`${marker}\n`).slice(1);
  return steps.map((command, index) => ({ command, output: outputs[index] ?? '' }));
}

/** The steps whose command ends with one of these words. */
export const stepsOf = (typed: readonly Typed[], ...words: readonly string[]): Typed[] =>
  typed.filter(({ command }) => words.some((each) => command.endsWith(each)));
