import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dvdi } from '../support/dvdi-client.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';
import { nodeShell } from './node-shell.ts';
import { openPage } from './page.ts';

const page = openPage('docs/trash.md');

describe.skipIf(requires('root', 'loop', 'aws').skip)('the trash, as docs/trash.md says', () => {
  let box: TestSandbox;
  let env: Record<string, string>;

  beforeAll(async () => {
    // What users have who set nothing.
    box = await testSandbox({ nodes: 3, zones: 2, nodeEnv: { DVE_SIZE: '1', DVE_ON_REMOVE: '' } });
    env = await nodeShell(box, 2);
  });
  afterAll(() => box?.close());

  const mount = async (Name: string, which: number): Promise<string> =>
    (await box.ok(which, 'Mount', { Name, ID: 'one' })).Mountpoint;
  const written = async (Name: string, text: string, Opts = {}) => {
    await box.ok(0, 'Create', { Name, Opts });
    await writeFile(join(await mount(Name, 0), 'kept'), text);
    await box.ok(0, 'Unmount', { Name, ID: 'one' });
  };

  /** Removed from another zone, and brought back there. */
  const movedAway = async (Name: string): Promise<string> => {
    const far = dvdi(box.node(1).socket);
    await box.detached(Name);
    while ((await box.call(1, 'Remove', { Name })).body.Err !== '');
    const { body } = await far.call('Ebs.Trash');
    expect(body).toMatchObject({
      volumes: expect.arrayContaining([expect.objectContaining({ name: Name, type: 'snapshot' })]),
    });
    expect(await far.call('Ebs.Undelete', { name: Name })).toMatchObject({ status: 200 });
    return readFile(join(await mount(Name, 1), 'kept'), 'utf8');
  };

  it('keeps what was removed, whose name is free at once, and brings it back on another node', async () => {
    await written('db', 'first');
    await written('web', 'pages', { onRemove: 'retain' });
    await written('tmp', 'gone', { onRemove: 'delete' });
    await written('oops', 'still there');
    await written('far', 'moved');
    const moved = movedAway('far');
    await box.ok(0, 'Create', { Name: 'blank' });
    for (const Name of ['db', 'web', 'tmp', 'blank', 'oops']) await box.ok(0, 'Remove', { Name });
    // By the node that has only just taken its name off.
    const oops = dvdi(box.node(0).socket).call('Ebs.Undelete', { name: 'oops' });
    expect(await box.volumes('tmp')).toEqual([]);

    await written('db', 'second');
    const [first] = (await box.volumes('db')).filter(
      (volume) => tagsOf(volume)['docker-volume-ebs:trash'] !== undefined,
    );
    const id = first?.VolumeId ?? '';
    const { stdout: listed } = await page.run('docker-volume-ebs trash ls', { env });
    expect(listed).toMatch(new RegExp(`\ndb +${id} .* 0\\.08\n`));
    expect(listed).toMatch(/ is about to detach it/);
    expect(listed).toMatch(/\n2 in the trash; a month of them costs about 0\.16 USD/);
    // By a node that has seen nothing of all that, while the disks are still at the other.
    const [web, db, same] = await Promise.all([
      page.run('docker-volume-ebs undelete', { env, replace: { VOLUME: 'web' } }),
      dvdi(box.node(2).socket).call('Ebs.Undelete', { name: id, as: 'db-before' }),
      oops,
      eventually(async () => (await box.volumes('blank')).length === 0),
    ]);
    expect(web.stdout).toMatch(/^web is back: vol-\w+\.\n$/);
    expect(same).toMatchObject({ status: 200, body: { name: 'oops' } });
    expect(db).toMatchObject({ status: 200, body: { volumeId: id, name: 'db-before' } });
    const contents = await Promise.all(
      ['web', 'db-before', 'db', 'oops'].map(async (name) => readFile(join(await mount(name, 2), 'kept'), 'utf8')),
    );
    expect(contents).toEqual(['pages', 'first', 'second', 'still there']);
    expect(await moved).toBe('moved');
    expect(await readdir(join(box.node(2).root, 'volumes'))).toHaveLength(4);
    expect((await box.ok(2, 'Get', { Name: 'db-before' })).Volume.Status.volumeId).toBe(id);
  }, 180_000);
});
