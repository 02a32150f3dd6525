import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { openPage } from './page.ts';

const page = openPage('docs/clones.md');

describe.skipIf(requires('root', 'loop').skip)('copies of a volume, as docs/clones.md makes them', () => {
  let box: TestSandbox;

  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_LINGER: '60' } });
  });
  afterAll(() => box?.close());

  /** The options of the page's creates, as Docker sends them. */
  const creates = () =>
    page
      .take('docker volume create')
      .trim()
      .split('\n')
      .map((line) => {
        const words = line.split(' ');
        const pairs = words.flatMap((word, at) => (words[at - 1] === '-o' ? [word.split('=')] : []));
        return { Name: words.at(-1), Opts: Object.fromEntries(pairs) };
      });
  const mount = async (Name: string): Promise<string> => (await box.ok(0, 'Mount', { Name, ID: 'one' })).Mountpoint;
  const read = (directory: string) => readFile(join(directory, 'kept'), 'utf8');

  it('are the first with its data, beside it, and go their own way', async () => {
    await box.ok(0, 'Create', { Name: 'db', Opts: { mountOptions: 'noatime' } });
    const directory = await mount('db');
    await writeFile(join(directory, 'kept'), 'first', { flush: true });
    for (const body of creates()) await box.ok(0, 'Create', body);
    for (const body of creates()) await box.ok(0, 'Create', body);
    const copies = await Promise.all(['copy-of-db', 'for-one-day'].map(mount));
    expect(await Promise.all(copies.map(read))).toEqual(['first', 'first']);
    await writeFile(join(copies[0]!, 'kept'), 'second');
    expect([await read(directory), await read(copies[1]!)]).toEqual(['first', 'first']);
    const [copy] = await box.volumes('copy-of-db');
    expect(tagsOf(copy)).toMatchObject({
      'docker-volume-ebs:from': 'db -',
      'docker-volume-ebs:mount-options': 'noatime',
    });
    const [brief] = await box.volumes('for-one-day');
    expect(Date.parse(tagsOf(brief)['docker-volume-ebs:ttl'] ?? '') - Date.now()).toBeGreaterThan(86_000_000);
  });

  it.each(['xfs', 'btrfs'])('are mounted beside their twin with %s, too', async (fsType) => {
    await box.ok(0, 'Create', { Name: fsType, Opts: { fsType } });
    const directory = await mount(fsType);
    await writeFile(join(directory, 'kept'), fsType, { flush: true });
    await box.ok(0, 'Create', { Name: `${fsType}-copy`, Opts: { from: fsType, size: '2' } });
    const copy = await mount(`${fsType}-copy`);
    expect(await read(copy)).toBe(fsType);
    await writeFile(join(copy, 'kept'), 'its own');
    expect(await read(directory)).toBe(fsType);
  });
});
