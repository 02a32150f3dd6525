import { fitted } from '../../src/cli/output.ts';
import { svg, text } from './svg.ts';

/** A command as it was typed, and what it printed. */
export interface Typed {
  readonly command: string;
  readonly output: string;
}

const widest = 132;
const [lineHeight, characterWidth, margin] = [18, 7.83, 20];

/** A terminal with these commands, its lines as wide as they need, 132 characters at most. */
export function terminalPicture(typed: readonly Typed[]): string {
  const lines = typed.flatMap(({ command, output }, index) => [
    ...(index === 0 ? [] : ['']),
    `# ${command}`,
    ...fitted(output.trim(), widest).split('\n'),
  ]);
  const width = Math.ceil(Math.max(...lines.map(({ length }) => length)) * characterWidth) + 2 * margin;
  const height = lines.length * lineHeight + 2 * margin;
  const font = { 'font-family': 'ui-monospace, SFMono-Regular, Menlo, monospace', 'font-size': 13 };
  return svg(
    {
      width,
      height,
      title: `A terminal: ${typed.map(({ command }) => command).join('; ')}`,
      description: lines.join('\n'),
      fill: '#0d1117',
      stroke: '#3d444d',
    },
    ...lines.map((line, index) =>
      text(margin, margin + 13 + index * lineHeight, line, {
        ...font,
        fill: line.startsWith('# ') ? '#7ee787' : '#e6edf3',
      }),
    ),
  );
}
