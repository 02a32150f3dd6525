import about from '../../../package.json' with { type: 'json' };
import { settingsTable } from '../../config.ts';
import type { CommandTable } from '../command.ts';
import { blocksOf, entryOf } from '../help-text.ts';
import { wrapped } from '../table.ts';

const lineLength = 72;

/** The man page: the help text of every command of the table, and every setting. In man(7). */
export async function manPage(table: CommandTable): Promise<string> {
  const typed = Object.entries(table).filter(([, { summary }]) => summary !== undefined);
  const commands = await Promise.all(
    typed.map(async ([name, { summary = '', load }]) => ({ name, summary, usage: (await load()).usage() })),
  );
  const settings = Object.values(settingsTable).map(({ env, kind, fallback, help }) =>
    entry(fallback === '' ? env : `${env} [${fallback}]`, `${help} Takes ${kind.takes}.`),
  );
  return `${[
    `.TH DOCKER\\-VOLUME\\-EBS 8 "" "docker\\-volume\\-ebs ${escaped(about.version)}" "System administration"`,
    '.nh',
    '.SH NAME',
    `docker\\-volume\\-ebs \\- ${escaped('EBS volumes that follow containers to another instance')}`,
    '.SH SYNOPSIS',
    '.B docker\\-volume\\-ebs',
    '.I COMMAND',
    '[\\fIOPTIONS\\fR]',
    '.SH DESCRIPTION',
    paragraph(`${about.description}.`),
    '.PP',
    'The commands are:',
    ...commands.map(({ name, summary }) => entry(name, `${summary}.`)),
    '.SH COMMANDS',
    ...commands.flatMap(({ name, usage }) => [`.SS ${quoted(name)}`, ...commandText(usage)]),
    '.SH ENVIRONMENT',
    paragraph('Settings of the daemon; region, credentials and endpoint come from the standard chain of the AWS SDK.'),
    ...settings,
    '.SH FILES',
    entry('/etc/docker-volume-ebs/env', 'The settings of the service that install makes.'),
    entry('/run/docker/plugins/ebs.sock', 'The socket of the daemon.'),
    entry('/var/lib/docker-volume-ebs', 'Its journal, and the mountpoints of volumes.'),
    '.SH EXIT STATUS',
    paragraph(
      '0 when it was done or told, 1 when it was refused, has failed, or there is no such volume, 2 for a wrong command line or setting. What a command means by that stands with it.',
    ),
    '.SH SEE ALSO',
    '.BR dockerd (8),',
    '.BR docker\\-volume (1)',
  ].join('\n')}\n`;
}

/** A help text after its first line. */
function commandText(usage: string): string[] {
  const [synopsis = '', ...rest] = usage.trimEnd().split('\n\n');
  const lines = synopsis.split('\n').map((line) => `\\fB${escaped(line.replace(/^Usage:/, '').trim())}\\fR`);
  const blocks = blocksOf(rest.join('\n\n').split('\n')).filter(([first]) => first !== '');
  return [lines.join('\n.br\n'), ...blocks.flatMap(blockText)];
}

function blockText(block: readonly string[]): string[] {
  const found = entryOf(block);
  if (found !== undefined) return [entry(found.label, found.text)];
  const isExample = block.every((line) => line.startsWith(' '));
  return isExample
    ? ['.PP', '.nf', ...block.map((line) => escaped(line)), '.fi']
    : ['.PP', paragraph(block.map((line) => line.trim()).join(' '))];
}

const entry = (label: string, text: string): string => `.TP\n.B ${quoted(label)}\n${paragraph(text)}`;

/** A sentence begins a line: man sets its space. */
const paragraph = (text: string): string =>
  text
    .split(/(?<=[.!?]) (?=[A-Z])/)
    .flatMap((sentence) => wrapped(sentence, lineLength))
    .map(escaped)
    .join('\n');

/** As an argument of a macro. */
const quoted = (text: string): string => `"${escaped(text).replaceAll('"', '\\(dq')}"`;

/** A line of text that roff prints as it is (groff_char(7)): a dash to copy, and nothing taken for a request. */
function escaped(text: string): string {
  const shown = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('…', '...');
  return shown.replace(/^(?=[.'])/, '\\&');
}
