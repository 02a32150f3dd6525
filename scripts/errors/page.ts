import { DriverError, type ErrorCode } from '../../src/errors.ts';
import { meanings } from './codes.ts';
import type { ErrorText, Texts } from './sites.ts';

const order = (one: string, other: string) => (one < other ? -1 : Number(one > other));
const unique = (texts: readonly string[]): string[] => [...new Set(texts)].sort(order);
const isControl = (letter: string): boolean => letter < ' ' || letter === '\x7f';

/** A text as the cell of a table shows it. */
export const cell = (text: string): string =>
  [...text]
    .map((letter) => (isControl(letter) ? ' ' : letter))
    .join('')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('(‹error message› / ‹error›)', "‹the system's own words›")
    .replaceAll('`', '')
    .replaceAll(/[\\|*_<>[\]]/g, '\\$&')
    .trim();
const row = (...cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly string[]): string[] => [
  `| ${head.join(' | ')} |`,
  `|${' --- |'.repeat(head.length)}`,
  ...unique(rows),
];

/** The generated part of docs/errors.md. */
export function errorsMarkdown(texts: Texts): string {
  const codes = Object.keys(meanings) as ErrorCode[];
  const parts = [...texts.parts].map(([folder, all]) => [folder, unique(all.map(cell))] as const);
  return [
    '## The errors, by code',
    ...codes.flatMap((code) => errorsOf(code, texts.errors)),
    '## A wrong command line',
    'The command ends with status 2, and nothing was done.',
    list(texts.usage.map(cell)),
    '## The log',
    'Lines of level `info` tell what was done; those of `warn` and above tell what somebody should know. A line also has the fields `op`, `volume` and, for an error, `err`.',
    table(
      ['level', 'text'],
      texts.log.map(({ level, text }) => row(level, text)),
    ).join('\n'),
    '## What `doctor` finds',
    table(
      ['it finds', 'what to do'],
      texts.doctor.map(([found, todo]) => row(found, todo)),
    ).join('\n'),
    '## Parts of sentences, and what commands print',
    'These complete the sentences above, or are lines on the screens of commands. They are listed by the folder of the source that says them.',
    ...parts.filter(([, all]) => all.length > 0).flatMap(([folder, all]) => [`### ${folder}`, list(all)]),
  ].join('\n\n');
}

const list = (texts: readonly string[]): string =>
  unique(texts)
    .map((text) => `- ${text}`)
    .join('\n');

function errorsOf(code: ErrorCode, errors: readonly ErrorText[]): string[] {
  const { status, transient } = new DriverError(code, { tried: '', why: '', todo: '' });
  const own = errors.filter((error) => error.code.includes(code) && new RegExp(`\\b${code}\\b`).test(error.code));
  // One advice for several things that were tried is one line.
  const lines = Map.groupBy(own, ({ why, todo }) => JSON.stringify([why, todo]));
  const rows = [...lines.values()].map((all) =>
    row(unique(all.map(({ tried }) => tried)).join('; '), all[0]?.why ?? '', all[0]?.todo ?? ''),
  );
  return [
    `### ${code}`,
    `${meanings[code]} HTTP status ${status}. ${transient ? 'Trying again later may help with nothing changed.' : 'Trying again helps only once something was changed.'}`,
    table(['cannot …', 'because …', 'what to do'], rows).join('\n'),
  ];
}
