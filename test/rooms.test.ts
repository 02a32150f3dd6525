import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mayImport, violations, volumeRooms } from './support/rooms.ts';

const root = resolve(import.meta.dirname, '..');

/** The files of the project that a file imports, types and imports at run time too. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = [...text.matchAll(/(?:from |import |import\()'(\.[^']+\.ts)'/g)];
  return specifiers.map(([, specifier = '']) => relative(root, resolve(root, dirname(file), specifier)));
}

const files = ['src', 'bench'].flatMap((top) =>
  readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(top, file)),
);

const plant = (imports: Readonly<Record<string, readonly string[]>>) => violations(new Map(Object.entries(imports)));

describe('the rooms', () => {
  it('hold the plan: every import of src and bench is allowed, and none leads in a circle', () => {
    expect(violations(new Map(files.map((file) => [file, importsOf(file)])))).toEqual([]);
  });

  it.each([
    ...Object.keys(mayImport).filter((room) => room !== 'bench'),
    ...volumeRooms.filter((room) => room !== 'door').map((room) => `volumes/${room}`),
  ])('%s of the plan exists', (room) => {
    expect(files.some((file) => file === `src/${room}.ts` || file.startsWith(`src/${room}/`))).toBe(true);
  });

  it('are read from the files as they are written', () => {
    expect(importsOf('src/daemon.ts')).toEqual(expect.arrayContaining(['src/config.ts', 'src/metrics/metrics.ts']));
    expect(importsOf('src/volumes/types.ts')).toContain('src/volumes/operator/types.ts');
  });
});

describe('the check of the plan', () => {
  it('names an import that runs up inside volumes', () => {
    expect(plant({ 'src/volumes/lifecycle/attach.ts': ['src/volumes/requests/hold.ts'] })).toEqual([
      'src/volumes/lifecycle/attach.ts → src/volumes/requests/hold.ts: lifecycle may not import requests: ' +
        'inside volumes imports run down, door → operator → requests → copies → growth → names → lifecycle → state → options',
    ]);
  });

  it('names an import of the door from below it', () => {
    expect(plant({ 'src/volumes/state/node.ts': ['src/volumes/types.ts'] })).toEqual([
      expect.stringContaining('src/volumes/state/node.ts → src/volumes/types.ts: state may not import door'),
    ]);
  });

  it('names an import of a room that the plan does not allow', () => {
    expect(plant({ 'src/host/run.ts': ['src/volumes/driver.ts'], 'src/ebs/call.ts': ['bench/bed.ts'] })).toEqual([
      'src/host/run.ts → src/volumes/driver.ts: host may not import volumes, only config, errors, events, lock, sizes, spelling',
      'src/ebs/call.ts → bench/bed.ts: ebs may not import bench, only errors, events, lock, sizes, spelling',
    ]);
  });

  it('lets only the commands and the benchmark start the sandbox', () => {
    const sandbox = ['src/sandbox/sandbox.ts'];
    expect(plant({ 'src/cli/demo/demo.ts': sandbox, 'bench/bed.ts': sandbox })).toEqual([]);
    for (const room of ['volumes', 'fencing', 'dvdi', 'metrics', 'ebs', 'host']) {
      expect(plant({ [`src/${room}/types.ts`]: sandbox })).toEqual([
        expect.stringContaining(`${room} may not import sandbox`),
      ]);
    }
  });

  it('lets the wire see of the driver its interface alone', () => {
    expect(plant({ 'src/dvdi/wire.ts': ['src/volumes/types.ts', 'src/volumes/state/held.ts'] })).toEqual([
      'src/dvdi/wire.ts → src/volumes/state/held.ts: dvdi may import of volumes only its interface, src/volumes/types.ts',
    ]);
  });

  it('names the files of a circle', () => {
    const circle = {
      'src/ebs/a.ts': ['src/ebs/b.ts'],
      'src/ebs/b.ts': ['src/ebs/c.ts'],
      'src/ebs/c.ts': ['src/ebs/b.ts'],
    };
    expect(plant(circle)).toEqual([
      'src/ebs/b.ts → src/ebs/c.ts → src/ebs/b.ts: files may not import each other in a circle',
    ]);
  });

  it('names a file that is in no room, and an import of one', () => {
    expect(plant({ 'src/utils/text.ts': [], 'src/volumes/common/text.ts': [] })).toEqual([
      'src/utils/text.ts: it is in no room of the plan',
      'src/volumes/common/text.ts: it is in no room of the plan',
    ]);
    expect(plant({ 'src/host/run.ts': ['test/support/run.ts'] })).toEqual([
      'src/host/run.ts → test/support/run.ts: host may not import what is in no room of the plan',
    ]);
  });
});
