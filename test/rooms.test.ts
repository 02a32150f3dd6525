import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const source = resolve(import.meta.dirname, '../src');

/** Which rooms each room may import (ARCHITECTURE.md). Errors, events and the types of settings are everybody's. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  cli: ['cli', 'daemon', 'config', 'log', 'dvdi', 'volumes', 'fencing', 'ebs', 'host', 'sandbox'],
  daemon: ['config', 'dvdi', 'volumes', 'metrics'],
  log: ['config'],
  config: [],
  errors: [],
  events: [],
  metrics: ['volumes', 'config'],
  dvdi: ['volumes'],
  volumes: ['ebs', 'host', 'fencing', 'config', 'log'],
  fencing: ['ebs', 'host'],
  ebs: [],
  host: ['config'],
  sandbox: ['host'],
};

const everybodys = ['errors', 'events'];

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const roomOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] ?? '') : file.replace(/\.ts$/, ''));

function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  const specifiers = [...text.matchAll(/(?:from |import\()'(\.[^']+\.ts)'/g)].map(([, specifier = '']) => specifier);
  return specifiers.map((specifier) => relative(source, resolve(source, dirname(file), specifier)));
}

describe('the rooms', () => {
  it.each(files)('%s imports only what its room may', (file) => {
    const room = roomOf(file);
    const foreign = importsOf(file)
      .map(roomOf)
      .filter((other) => other !== room && !everybodys.includes(other) && !mayImport[room]?.includes(other));
    expect(foreign).toEqual([]);
  });

  it('the wire sees of the driver its interface alone', () => {
    const seen = files.filter((file) => roomOf(file) === 'dvdi').flatMap(importsOf);
    expect([...new Set(seen.filter((file) => roomOf(file) === 'volumes'))]).toEqual(['volumes/types.ts']);
  });
});
