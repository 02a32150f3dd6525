import { type FilesystemType, filesystemTypes } from '../../host/types.ts';
import { bad } from './bad-value.ts';
import { byAny, filesystems } from './filesystem.ts';
import { alone, each, judge, matching, valued, type Words } from './shapes.ts';

/** What the owner of the host may allow: set-user-ID programs and device nodes in volumes. */
export type Allowed = 'suid' | 'dev';

const ownersWords: readonly Allowed[] = ['suid', 'dev'];

/** mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS", but those for /etc/fstab alone. */
const everywhere: Words = {
  ...each('async sync dirsync atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime', alone),
  ...each(
    'lazytime nolazytime iversion noiversion exec noexec suid nosuid dev nodev ro rw defaults silent loud',
    alone,
  ),
  ...each('symfollow nosymfollow', alone),
  // Of SELinux labels only those that containers have: another would let files pass for something of the host's.
  context: valued(
    matching(
      /^[a-z_]+_u:object_r:(container_file_t|container_ro_file_t|svirt_sandbox_file_t):s0$/,
      'a label of containers, as system_u:object_r:container_file_t:s0',
    ),
  ),
};

/** What the node's options forbid and a volume's do not undo, by what would undo it. */
const undoes: Readonly<Record<string, string>> = {
  rw: 'ro',
  exec: 'noexec',
  suid: 'nosuid',
  dev: 'nodev',
  symfollow: 'nosymfollow',
};

/**
 * Reads mount options, separated by commas.
 * @returns the options one by one: listed ones alone, with values of the listed shape.
 * @throws BadValue naming the option that is not taken, and the nearest that is.
 */
export function readMountOptions(text: string, type: FilesystemType, allowed: readonly Allowed[]): string[] {
  const words = split(text);
  for (const word of words) refuseUnknown(word, type);
  refuseOwners(words, allowed);
  refuseLacking(words, type);
  refuseApart(words, [...filesystems[type].apart, ['ro', 'rw']]);
  return words;
}

/** A node's own options: each is for the filesystems that know it. @throws BadValue for one that none knows. */
export function readNodeMountOptions(text: string, allowed: readonly Allowed[]): string[] {
  const words = split(text);
  for (const word of words) byAny(filesystemTypes, (type) => refuseUnknown(word, type));
  refuseOwners(words, allowed);
  refuseApart(words, [['ro', 'rw']]);
  return words;
}

/**
 * All options of a mount: what every mount begins with, the node's that this filesystem knows, the volume's. Later ones
 * win, but a volume's does not undo what the node forbids.
 * @throws BadValue for a volume's option that is not taken, or a combination that is not.
 */
export function mountWords(
  type: FilesystemType,
  { node, volume, allowed }: { readonly node: string; readonly volume: string; readonly allowed: readonly Allowed[] },
): string[] {
  const nodes = readNodeMountOptions(node, allowed).filter((word) => judge(word, knownTo(type)) === undefined);
  const own = readMountOptions(volume, type, allowed).filter((word) => !nodes.includes(undoes[word] ?? ''));
  const safe = ownersWords.filter((word) => !allowed.includes(word)).map((word) => `no${word}`);
  const all = [...safe, ...filesystems[type].always, ...nodes, ...own];
  refuseLacking(all, type);
  refuseApart(all, filesystems[type].apart);
  return all;
}

const split = (text: string): string[] =>
  text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

const knownTo = (type: FilesystemType): Words => ({ ...everywhere, ...filesystems[type].mount });

function refuseUnknown(word: string, type: FilesystemType): void {
  const rule = judge(word, knownTo(type));
  if (rule === undefined) return;
  const todo = `Leave it out, or correct it; what ${type} takes: ${Object.keys(knownTo(type)).join(' ')}`;
  bad(`holds ${JSON.stringify(word)}: ${rule}`, todo);
}

function refuseOwners(words: readonly string[], allowed: readonly Allowed[]): void {
  const refused = ownersWords.find((word) => words.includes(word) && !allowed.includes(word));
  if (refused === undefined) return;
  const todo = `Leave it out, or have the owner of the host set DVE_MOUNT_ALLOW=${refused}`;
  bad(`holds ${JSON.stringify(refused)}, which is for the owner of the host to allow`, todo);
}

const has = (words: readonly string[], wanted: string): boolean =>
  words.some((word) => word === wanted || word.startsWith(`${wanted}=`));

function refuseApart(words: readonly string[], apart: readonly (readonly [string, string])[]): void {
  const pair = apart.find(([one, other]) => has(words, one) && has(words, other));
  if (pair !== undefined) bad(`holds ${pair.join(' and ')}, which cannot be together`, 'Give one of them');
}

function refuseLacking(words: readonly string[], type: FilesystemType): void {
  for (const [word, others] of Object.entries(filesystems[type].needs)) {
    if (!has(words, word) || others.some((other) => has(words, other))) continue;
    bad(`holds ${JSON.stringify(word)}, which needs ${others.join(' or ')} beside it`);
  }
}
