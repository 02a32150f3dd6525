import { crc32 } from 'node:zlib';

/** One record of a writer's file. */
export interface WrittenRecord {
  /** Counts from 1 through the whole file, whoever wrote it. */
  readonly number: number;
  /** The volume's epoch when its writer began. */
  readonly epoch: number;
  readonly node: string;
}

/** Every record takes as many bytes; a page holds a few, so that a file of some hundred grows by whole blocks. */
export const recordBytes = 256;

/** A record as it is in the file: what it says, its checksum, blanks, a newline. ASCII. */
export function formatRecord({ number, epoch, node }: WrittenRecord): string {
  const text = `${number} ${epoch} ${node}`;
  return `${`${text} ${crc32(text)}`.padEnd(recordBytes - 1)}\n`;
}

/** The record in these bytes; undefined when they are not, to the last one, what {@link formatRecord} gives. */
function parseRecord(bytes: string): WrittenRecord | undefined {
  const [number, epoch, node = ''] = bytes.split(' ');
  const record = { number: Number(number), epoch: Number(epoch), node };
  return formatRecord(record) === bytes ? record : undefined;
}

/** Reads a file's records up to the first place that holds none. `later` counts whole records after that place. */
export function readRecords(file: Buffer): { readonly records: readonly WrittenRecord[]; readonly later: number } {
  const all = Array.from({ length: Math.ceil(file.length / recordBytes) }, (_, place) =>
    parseRecord(file.toString('latin1', place * recordBytes, (place + 1) * recordBytes)),
  );
  const whole = all.filter((record) => record !== undefined);
  const end = all.indexOf(undefined);
  const records = end === -1 ? whole : whole.slice(0, end);
  return { records, later: whole.length - records.length };
}
