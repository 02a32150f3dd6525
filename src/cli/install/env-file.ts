import { parseEnv } from 'node:util';
import { loadSettings, refuseUnknown, type Settings, settingsTable } from '../../config.ts';
import { DriverError } from '../../errors.ts';
import { UsageError } from '../../flags.ts';
import { checkDefaults } from '../../volumes/options/defaults.ts';
import { isRexRays, understandRexRay } from '../serve/rexray-settings.ts';
import { envFile } from './places.ts';

const ours = new Set<string>(Object.values(settingsTable).map(({ env }) => env)).add('HTTPS_PROXY').add('NO_PROXY');

/**
 * Settings as words of a command line: DVE_SIZE=20, AWS_REGION=eu-west-1.
 * @throws UsageError for a word that is none; DriverError INVALID_OPTION for a setting that does not exist.
 */
export function readGiven(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(words.map(readWord));
}

function readWord(word: string): [string, string] {
  const [, name = '', value = ''] = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(word) ?? [];
  if (name === '') throw new UsageError(`install takes settings as NAME=value, not ${JSON.stringify(word)}.`);
  if (!ours.has(name) && !name.startsWith('AWS_') && !isRexRays(name)) {
    throw invalid(name, 'there is no such setting', 'See docker-volume-ebs serve --help for those that are');
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what a line of a file cannot hold.
  if (/[\0-\x1f\x7f]/.test(value)) throw invalid(name, 'its value has a control character', 'Give it without');
  return [name, value];
}

const invalid = (name: string, why: string, todo: string) =>
  new DriverError('INVALID_OPTION', { tried: `set ${name}`, why, todo });

/**
 * The settings that a file's text has, REX-Ray's among them, and what its user must know about these, a line each.
 * @throws DriverError INVALID_OPTION for one that is wrong.
 */
export function settingsIn(text: string): { settings: Settings; warnings: readonly string[] } {
  const given = parseEnv(text);
  refuseUnknown(given, envFile);
  const { env, warnings } = understandRexRay(given);
  const settings = loadSettings([], { ...given, ...env });
  checkDefaults(settings);
  return { settings, warnings };
}

/** A file's text as it may be shown. */
export const withoutSecrets = (text: string): string =>
  text.replaceAll(/^(\s*\w*(?:SECRET|TOKEN)\w*\s*=).+$/gm, '$1(not shown)');

/** The text of a new file: every setting with its default, commented out. */
export function newEnvFile(): string {
  const settings = Object.values(settingsTable).map(
    ({ env, kind, fallback, help }) => `# ${help} Takes ${kind.takes}.\n#${env}=${fallback}\n`,
  );
  return `# Settings of docker-volume-ebs (EnvironmentFile= of systemd). After a change: systemctl restart docker-volume-ebs,
# or, after one of DVE_SOCKET or DVE_ROOT, which the units hold too: docker-volume-ebs install.
# AWS_REGION and the like may be given as for any AWS tool; on EC2 none is needed.

${settings.join('\n')}`;
}

/** A file's text with these settings in it: each where it is, or else where it is commented out, or else at the end. */
export function withSettings(text: string, given: ReadonlyMap<string, string>): string {
  const lines = text.replace(/\n$/, '').split('\n');
  for (const [name, value] of given) {
    const line = `${name}=${quoted(value)}`;
    // Of several the last counts.
    const set = lines.findLastIndex((each) => each.split('=')[0]?.trim() === name);
    const place = set < 0 ? lines.findIndex((each) => each.startsWith(`#${name}=`)) : set;
    if (place < 0) lines.push(line);
    else lines[place] = line;
  }
  return `${lines.join('\n')}\n`;
}

/** As systemd reads it (systemd.exec(5), EnvironmentFile=). */
function quoted(value: string): string {
  if (/^[\w@%+=:,./-]*$/.test(value)) return value;
  return value.includes("'") ? `"${value.replaceAll(/["\\`$]/g, '\\$&')}"` : `'${value}'`;
}
