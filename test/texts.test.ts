import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const project = resolve(import.meta.dirname, '..');
const sources = globSync('src/**/*.ts', { cwd: project })
  .filter((file) => !/^src\/(?:cli\/)?(?:sandbox|demo)\//.test(file))
  .sort();
const pages = ['README.md', ...globSync('docs/*.md', { cwd: project }).sort()];
const read = (file: string) => readFileSync(join(project, file), 'utf8');

/** The texts of a source file that people may read: strings and templates of several words, without the comments. */
function textsOf(file: string): string[] {
  const tokens = read(file).match(/\/\/.*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g) ?? [];
  return tokens.filter((token) => !token.startsWith('/') && /\S\s+\S/.test(token));
}

/** Programs and flags that destroy, and names of disks that mean another disk later. Nobody is told of these at all. */
const forbidden: readonly [what: string, shape: RegExp][] = [
  ['a program that overwrites', /\b(?:wipefs|mke2fs|shred|blkdiscard|sgdisk|parted|mkfs\.\w+ (?:-|\/|\$\{))/],
  ['a copy onto a disk', /\bdd\b.*\bof=/],
  ['a repair that loses data', /xfs_repair (?:\S+ )*-L|btrfs check --repair|e2fsck (?:\S+ )*-y|zero-log/],
  ['a deletion', /delete-(?:volume|snapshot)|docker volume (?:rm|prune)|\brm -/],
  ['to overwrite', /\b(?:overwrite (?!of)|erase|reformat|wipe (?:it|the|its))/i],
  ['a kernel name of a disk', /\/dev\/(?:nvme\d|sd[a-z]\b|loop\d)|\$\{(?:device|disk|volume)\??\.path\b/],
];

/**
 * An advice to take something away, at the beginning of a clause: as a sentence it has a capital letter there. "remove it"
 * without one is what was tried, and "remove it again" the caller's own verb.
 */
const verbs = ['remove', 'delete', 'wipe', 'format', 'empty', 'discard', 'drop', 'recreate', 'clear'];
const object = String.raw`(?! (?:of|disk|it again|it until)\b)(?!;)(?! (?:asks|is|serves)\b)`;
const inside = new RegExp(
  String.raw`(?:[.;:,?!(] |\b(?:and|or|then|first|either|else|only) )(?:${verbs.join('|')})\b${object}`,
  'i',
);
const capital = verbs.map((verb) => `${verb[0]?.toUpperCase()}${verb.slice(1)}`);
const first = new RegExp(String.raw`^.(?:${capital.join('|')})\b`);
const isAdvice = (text: string): boolean => inside.test(text) || first.test(text);
/** What is no advice, or is one about something that holds no data. */
const harmless = [
  // What a setting or a command does, or a value of a setting.
  /^'(?:What removing a volume does|Remove the systemd service|A removed volume is kept)/,
  /Empty: no (?:Mesos|Swarm)/,
];

describe('what the program says', () => {
  it.each(sources)('%s tells nobody to destroy', (file) => {
    const found = textsOf(file).flatMap((text) =>
      forbidden.filter(([, shape]) => shape.test(text)).map(([what]) => `${what}: ${text}`),
    );
    expect(found).toEqual([]);
  });

  it.each(sources)('%s advises nobody to take anything away', (file) => {
    const found = textsOf(file).filter((text) => isAdvice(text) && !harmless.some((known) => known.test(text)));
    expect(found).toEqual([]);
  });

  it('would be noticed', () => {
    const old = [
      "'Look at it with blkid; restore a snapshot, or remove the volume and create it anew'",
      "'Keep one: delete the others, or remove their docker-volume-ebs:name tag'",
      "'Remove the stale link, and try again'",
    ];
    expect(old.filter((text) => !isAdvice(text))).toEqual([]);
    const shapes = [
      `only if nobody needs it, empty it with wipefs -a \${device.path} and dd, and try again`,
      `Correct the mkfs options, or run mkfs.ext4 \${device.path} by hand, and try again`,
      `then run e2fsck -f \${device.path} by hand`,
      'xfs_repair -L on it',
    ];
    expect(shapes.filter((text) => !forbidden.some(([, shape]) => shape.test(text)))).toEqual([]);
  });
});

/** A page also says what a Remove does, and how an experiment on a blank disk was made. */
const onPages = forbidden.filter(([what]) => what !== 'a deletion' && what !== 'a copy onto a disk');

describe.each(pages)('%s', (page) => {
  it('tells nobody to destroy', () => {
    const lines = read(page).split('\n');
    const found = onPages.flatMap(([what, shape]) =>
      lines.filter((line) => shape.test(line)).map((line) => [what, line]),
    );
    expect(found).toEqual([]);
  });
});
