import type { FilesystemType } from '../../host/types.ts';
import { bad } from './bad-value.ts';
import { filesystems } from './filesystem.ts';
import type { Word, Words } from './shapes.ts';

interface Flag {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads extra arguments of a mkfs, separated by blanks, as "-b 4096 -Lname" or "--label=name".
 * @returns the arguments as they are to be passed: listed flags alone, each value with its flag and of the listed shape.
 * @throws BadValue for everything else: words that are no flag's value, flags that are not listed, values that do not fit.
 */
export function readMkfsOptions(text: string, type: FilesystemType): string[] {
  const { mkfs, once } = filesystems[type];
  const left = text.split(/\s+/).filter((word) => word !== '');
  const seen = new Set<string>();
  const words: string[] = [];
  while (left.length > 0) {
    const { name, value } = takeFlag(left, mkfs, type);
    if (once.includes(name) && seen.has(name)) bad(`has ${name} twice, and mkfs.${type} heeds the last alone`, oneList);
    seen.add(name);
    if (value === undefined) words.push(name);
    else words.push(...(name.startsWith('--') ? [`${name}=${value}`] : [name, value]));
  }
  return words;
}

const oneList = 'Give it once, with commas between its parts';

/** Takes the first flag, with its value, off the words that are left. */
function takeFlag(left: string[], flags: Words, type: FilesystemType): Flag {
  const word = left.shift() ?? '';
  // What follows a single letter is its value, or more letters.
  const [, name = '', rest] = /^(--[^=]*|-[^-])(.*)$/s.exec(word) ?? [];
  const known = Object.hasOwn(flags, name) ? flags[name] : undefined;
  if (known === undefined || rest === undefined) return refuse(word, name, flags, type);
  const isLong = name.startsWith('--');
  if (known.value === undefined) {
    if (rest !== '' && isLong) bad(`gives ${name} a value, and it takes none`);
    if (rest !== '') left.unshift(`-${rest}`);
    return { name, value: undefined };
  }
  const value = rest === '' ? left.shift() : isLong ? rest.slice(1) : rest;
  return { name, value: fitting(name, value, known) };
}

function fitting(name: string, value: string | undefined, { value: shape }: Word): string {
  if (value === undefined) return bad(`gives ${name} no value`);
  const rule = shape?.(value);
  return rule === undefined ? value : bad(`has ${name}, which ${rule}`);
}

function refuse(word: string, name: string, flags: Words, type: FilesystemType): never {
  const known = `Leave it out; what mkfs.${type} may be given here: ${Object.keys(flags).join(' ')}`;
  if (name === '') return bad(`holds ${JSON.stringify(word)}, which is neither a flag nor a flag's value`, known);
  const why = 'none is taken that names a file or another disk, forces, or makes nothing';
  return bad(`holds ${JSON.stringify(name)}, which is not among the flags that are taken (${why})`, known);
}
