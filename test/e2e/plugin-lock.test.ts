import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LockPlace, lockFile, lockInstance } from '../../src/host/instance-lock.ts';
import { type Dockerd, startDockerd } from '../support/dockerd.ts';
import { daemon, squatter } from '../support/lock-holders.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { becomeNode, createLeanPlugin, sandboxedConfig } from '../support/sandboxed-plugin.ts';

const { skip } = requires('root', 'loop', 'dockerd');

describe.skipIf(skip)('a managed plugin in a real dockerd, beside a service on its host', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  let place: LockPlace;
  beforeAll(async () => {
    [box, engine] = await Promise.all([testSandbox({ nodes: 1 }), startDockerd(undefined)]);
    const { instanceId, socket } = box.node(0);
    place = { deviceRoot: '/dev', cluster: 'default', instanceId };
    // Both have the machine's own /dev.
    const settings = (await becomeNode(box, 0)).filter((each) => !each.startsWith('DVE_DEVICE_ROOT'));
    await createLeanPlugin(engine, box.dir, 'ebs', await sandboxedConfig(dirname(socket)));
    await engine.ok('plugin', 'set', 'ebs', ...settings, `run.source=${dirname(engine.host.slice('unix://'.length))}`);
  });
  afterAll(async () => {
    await engine?.stop();
    await box?.close();
    if (place !== undefined) await rm(lockFile(place), { force: true });
  });

  const lines = () =>
    engine
      .log()
      .split('\n')
      .filter((line) => line.includes('another daemon serves it here'));
  const create = (name: string) => engine.docker('volume', 'create', '-d', 'ebs', '-o', 'size=1', name);

  it('serves nothing while the service does, and all once that has been killed; a stranger’s socket stops neither', async () => {
    const stranger = await squatter(place, ['setpriv', '--reuid', '65534', '--clear-groups', process.execPath]);
    expect(stranger.said).toBe('bound');
    const service = await daemon(place);
    expect(service.said).toMatch(/^locked; /);
    await engine.ok('plugin', 'enable', 'ebs');
    await eventually(async () => lines().length > 0);
    await service.kill();
    expect(await create('a')).toMatchObject({ code: 0 });
    await expect(lockInstance(place, () => undefined)).rejects.toThrow('another daemon');
    await engine.ok('plugin', 'disable', '-f', 'ebs');
    expect((await daemon(place)).said).toMatch(/^locked; /);
  });
});
