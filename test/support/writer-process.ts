/**
 * Appends records to FILE, each synced, and tells on standard output "w NUMBER TIME" once one is written and "s NUMBER
 * TIME" once it is synced; "e CODE" when the disk takes no more, and ends. `node writer-process.ts FILE EPOCH NODE`
 */
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { formatRecord, readRecords, recordBytes } from './writer-records.ts';

const pauseMs = 20;
const [, , path = '', epoch = '', node = ''] = process.argv;

// Synchronous calls throughout: what is told is told before the next thing happens.
const tell = (what: string): void => {
  writeSync(1, `${what}\n`);
};
const syncDirectory = (directory: string): void => {
  const file = openSync(directory, 'r');
  fsyncSync(file);
  closeSync(file);
};

try {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT);
  syncDirectory(dirname(path));
  let number = readRecords(readFileSync(file)).records.length;
  // What the writer before began and never finished.
  ftruncateSync(file, number * recordBytes);
  for (;;) {
    number += 1;
    const record = formatRecord({ number, epoch: Number(epoch), node });
    writeSync(file, record, (number - 1) * recordBytes);
    tell(`w ${number} ${Date.now()}`);
    fsyncSync(file);
    tell(`s ${number} ${Date.now()}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
  }
} catch (error) {
  tell(`e ${(error as NodeJS.ErrnoException).code}`);
}
