import type { MountEntry } from './types.ts';

/**
 * Reads the text of /proc/self/mountinfo (format: proc_pid_mountinfo(5)).
 * @throws Error on a line that is not of that format: a mount must never go unseen.
 */
export function parseMountinfo(text: string): MountEntry[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);
}

function parseLine(line: string): MountEntry {
  const fields = line.split(' ');
  // Between the mount options and the lone dash stand any number of optional fields (shared:1, master:2 …).
  const dash = fields.indexOf('-', 6);
  const [id, parentId, number, root, mountpoint, options] = fields;
  const [type, source, superOptions] = dash < 0 ? [] : fields.slice(dash + 1);
  if (
    number === undefined ||
    root === undefined ||
    mountpoint === undefined ||
    options === undefined ||
    type === undefined ||
    source === undefined
  ) {
    throw new Error(`a line of mountinfo is not as expected: ${JSON.stringify(line)}`);
  }
  return {
    id: Number(id),
    parentId: Number(parentId),
    number,
    root: decodePath(root),
    mountpoint: decodePath(mountpoint),
    options: decodeOptions(options),
    propagation: fields.slice(6, dash),
    type: decode(type),
    source: decode(source),
    superOptions: decodeOptions(superOptions ?? ''),
  };
}

/** The kernel writes space, tab, newline, backslash and a few more as a backslash and three octal digits. */
const decode = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

// A directory removed while mounted is marked so; no real path has two slashes in a row, so nothing is lost.
const decodePath = (text: string): string => decode(text).replace(/\/\/deleted$/, '');

// Split first: a comma inside an option is written \054.
const decodeOptions = (text: string): string[] => (text === '' ? [] : text.split(',').map(decode));
