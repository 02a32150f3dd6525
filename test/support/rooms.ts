/** The plan of the house: which room may import which, and the check of files against it. */

/** The rooms of src/ and bench/, each with the rooms that it may import (ARCHITECTURE.md). */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  bench: ['cli', 'daemon', 'config', 'log', 'dvdi', 'metrics', 'volumes', 'fencing', 'ebs', 'host', 'sandbox'],
  cli: ['daemon', 'config', 'flags', 'log', 'dvdi', 'volumes', 'fencing', 'ebs', 'host', 'sandbox'],
  daemon: ['config', 'dvdi', 'volumes', 'metrics'],
  dvdi: ['volumes'],
  metrics: ['volumes', 'config', 'kinds'],
  volumes: ['ebs', 'host', 'fencing', 'config', 'kinds', 'log'],
  fencing: ['ebs', 'host'],
  ebs: [],
  sandbox: ['host'],
  host: ['config'],
  log: ['config'],
  config: ['flags', 'kinds'],
  kinds: [],
  events: [],
  errors: [],
  lock: [],
  spelling: [],
  flags: [],
  sizes: [],
};

/** Errors, what is published about calls and takeovers, locks on files, how a size is read and what a word was to be are everybody's. */
const everybodys = ['errors', 'events', 'lock', 'sizes', 'spelling'];

/** These rooms see of volumes its interface alone. */
const seeInterface = { rooms: ['dvdi', 'metrics'], only: 'src/volumes/types.ts' };

/** The rooms inside src/volumes, from the door down: each imports only those after it. The files beside them are the door. */
export const volumeRooms = [
  'door',
  'operator',
  'requests',
  'copies',
  'growth',
  'names',
  'lifecycle',
  'state',
  'options',
];

/** Files, relative to the project's root, with the files of the project that each imports. */
type Imports = ReadonlyMap<string, readonly string[]>;

/**
 * Checks every import against the plan, imports of types too. Pure.
 * @returns a sentence for each import that breaks a rule, beginning with the files: "src/ebs/a.ts → src/cli/b.ts: ebs may
 * not import cli …"; empty when all is well.
 */
export function violations(imports: Imports): string[] {
  const strays = [...imports.keys()].filter((file) => placeOf(file) === undefined);
  const broken = [...imports].flatMap(([from, others]) =>
    others.flatMap((to) => {
      const rule = ruleBroken(from, to);
      return rule === undefined ? [] : [`${from} → ${to}: ${rule}`];
    }),
  );
  return [...strays.map((file) => `${file}: it is in no room of the plan`), ...broken, ...circles(imports)];
}

interface Place {
  readonly room: string;
  /** The room inside src/volumes. */
  readonly inner: string | undefined;
}

function placeOf(file: string): Place | undefined {
  const [top, ...rest] = file.replace(/\.ts$/, '').split('/');
  const [room = '', inner, deeper] = top === 'src' ? rest : [top];
  if (!(room in mayImport)) return undefined;
  if (room !== 'volumes') return { room, inner: undefined };
  if (deeper === undefined) return { room, inner: 'door' };
  return inner !== undefined && volumeRooms.includes(inner) ? { room, inner } : undefined;
}

function ruleBroken(fromFile: string, toFile: string): string | undefined {
  const [from, to] = [placeOf(fromFile), placeOf(toFile)];
  if (from === undefined) return undefined;
  if (to === undefined) return `${from.room} may not import what is in no room of the plan`;
  if (from.room === to.room) return orderBroken(from.inner, to.inner);
  const allowed = [...(mayImport[from.room] ?? []), ...everybodys];
  if (!allowed.includes(to.room)) return `${from.room} may not import ${to.room}, only ${allowed.join(', ')}`;
  if (to.room === 'volumes' && seeInterface.rooms.includes(from.room) && toFile !== seeInterface.only) {
    return `${from.room} may import of volumes only its interface, ${seeInterface.only}`;
  }
  return undefined;
}

function orderBroken(from: string | undefined, to: string | undefined): string | undefined {
  if (from === undefined || to === undefined || volumeRooms.indexOf(from) <= volumeRooms.indexOf(to)) return undefined;
  return `${from} may not import ${to}: inside volumes imports run down, ${volumeRooms.join(' → ')}`;
}

/** One sentence for each import that leads back to a file it was reached from. */
function circles(imports: Imports): string[] {
  const found: string[] = [];
  const finished = new Set<string>();
  const walk = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      found.push(
        `${[...path.slice(path.indexOf(file)), file].join(' → ')}: files may not import each other in a circle`,
      );
    } else if (!finished.has(file)) {
      for (const other of imports.get(file) ?? []) walk(other, [...path, file]);
      finished.add(file);
    }
  };
  for (const file of imports.keys()) walk(file, []);
  return found;
}
