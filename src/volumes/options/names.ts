import { DriverError } from '../../errors.ts';

/** Encoded names must fit a directory entry with a suffix (255 bytes) and an EC2 filter value (255 characters). */
const maxEncodedLength = 240;

const keptBytes = new Set([...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.@+'].map(byteOf));

function byteOf(character: string): number {
  return character.charCodeAt(0);
}

/**
 * The one directory name and tag value of a volume name. Plain names stand for themselves; every other byte of the
 * UTF-8 form, and a leading dot, is written as "=" and two hex digits, so that no name can leave the mount root.
 * @throws DriverError INVALID_NAME for an empty name, broken Unicode, or more than 240 characters encoded. dockerd
 * itself checks nothing for plugin drivers.
 */
export function encodeName(name: string): string {
  if (name === '') refuse(name, 'it is empty');
  if (!name.isWellFormed()) refuse(name, 'it is not well-formed Unicode');
  const encoded = [...Buffer.from(name, 'utf8')].map(encodeByte).join('');
  if (encoded.length > maxEncodedLength) {
    refuse(
      name,
      `its encoded form has ${encoded.length} characters and at most ${maxEncodedLength} fit a tag and a directory`,
    );
  }
  return encoded;
}

function encodeByte(byte: number, index: number): string {
  const plain = keptBytes.has(byte) && !(index === 0 && byte === byteOf('.'));
  return plain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * Refuses a new name that Docker takes and could never remove: it is a part of a URL there, and a server cleans the path
 * of a URL (net/http, ServeMux). `--mount source=./data` makes such a name where `-v ./data:…` would make a directory.
 * @throws DriverError INVALID_NAME
 */
export function refuseUnremovable(name: string): void {
  const parts = name.split('/');
  const last = parts.length - 1;
  if (!parts.some((part, index) => part === '.' || part === '..' || (part === '' && index < last))) return;
  refuse(name, 'Docker could not remove it: it begins with "/", or has "//" or a part that is "." or ".."');
}

function refuse(name: string, why: string): never {
  throw new DriverError('INVALID_NAME', {
    volume: name.length > 80 ? `${name.slice(0, 80)}…` : name,
    tried: 'use this name',
    why,
    todo: 'Choose another name: letters, digits, "_", "-", "." are always safe',
  });
}

/** The name that {@link encodeName} encoded; undefined for text that it never gives. */
export function decodeName(encoded: string): string | undefined {
  const bytes = Buffer.from(
    encoded.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  const name = bytes.toString('utf8');
  try {
    return encodeName(name) === encoded ? name : undefined;
  } catch {
    return undefined;
  }
}

/** What the `Name` tag shows: the name itself where EC2's consoles take its characters, else its encoded form. */
export function displayName(name: string): string {
  return /^[\p{L}\p{N} +\-=._:/@]{1,255}$/u.test(name) && !/^aws:/i.test(name) ? name : encodeName(name);
}

/** True for a name that a volume can have. */
export function isName(name: string): boolean {
  try {
    encodeName(name);
    return true;
  } catch {
    return false;
  }
}
