import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { CreateVolumeCommand } from '@aws-sdk/client-ec2';
import { afterEach, describe, expect, it } from 'vitest';
import { tagKeys } from '../../src/ebs/tags.ts';
import type { TokenScope } from '../../src/sandbox/tokens.ts';
import { nodeShell } from '../docs/node-shell.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';

interface Shown {
  readonly check: string;
  readonly answered: string;
  readonly agrees: boolean | null;
}

describe.skipIf(requires('root', 'loop').skip)('doctor --live', () => {
  let box: TestSandbox;
  let env: Record<string, string>;

  const start = async (tokenScope: TokenScope): Promise<void> => {
    box = await testSandbox({ nodes: 1, zones: 2, account: { tokenScope }, nodeEnv: { DVE_SIZE: '1' } });
    const { instanceId, availabilityZone } = box.node(0);
    const own = { DVE_INSTANCE_ID: instanceId, DVE_AVAILABILITY_ZONE: availabilityZone };
    env = { ...(await nodeShell(box, 0)), ...own };
  };
  afterEach(() => box?.close());

  function run(...argv: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile('docker-volume-ebs', ['doctor', '--live', ...argv], { env }, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : error.code, stdout, stderr });
      });
    });
  }
  const nothingLeft = () => eventually(async () => (await box.volumes()).length === 0);

  it.each([
    ['region', 'the token counts in the region'],
    ['zone', 'it counts in a zone'],
  ] as const)(
    'finds that the sandbox is as the driver takes it, with tokens of a %s, and leaves nothing',
    async (scope, words) => {
      await start(scope);
      const { status, stdout, stderr } = await run('--yes', '--json');
      expect(stderr).toBe('');
      const { ok, checks } = JSON.parse(stdout) as { ok: boolean; checks: Shown[] };
      expect(checks.filter(({ agrees }) => agrees !== true)).toEqual([]);
      expect([ok, status]).toEqual([true, 0]);
      expect(checks.find(({ check }) => check === 'other zone')?.answered).toContain(words);
      await nothingLeft();
    },
  );

  it('says what it will do and what that costs, and does nothing unless told yes', async () => {
    await start('region');
    box.sandbox.resetCalls();
    const { status, stdout } = await run();
    expect([status, stdout]).toEqual([
      2,
      expect.stringMatching(/one empty gp3 volume of 1 GiB[\s\S]*cent[\s\S]*--yes/),
    ]);
    expect(Object.keys(box.sandbox.calls()).filter((action) => !action.startsWith('Describe'))).toEqual([]);
  });

  it('shows an EC2 that answers otherwise, goes on, and deletes what it made', async () => {
    await start('region');
    await box.fault({ kind: 'error', action: 'DetachVolume', code: 'UnsupportedOperation', status: 400, times: 1 });
    await box.fault({ kind: 'deny', action: 'DeleteTags' });
    const { status, stdout } = await run('--yes');
    expect(stdout).toMatch(/^open +tag condition\n +asked .*\n +answered +it cannot be told: .*not authorized/m);
    expect(stdout).toMatch(/^agrees +wrong device$/m);
    expect(stdout).toMatch(/^DISAGREES {2}not attached$/m);
    expect(stdout).toMatch(/agree, 1 disagree, [1-9] stay open\.\n$/);
    expect(status).toBe(1);
    await nothingLeft();
  });

  it('deletes what it made when it is interrupted', async () => {
    await start('region');
    const child = spawn('docker-volume-ebs', ['doctor', '--live', '--yes'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const before = told;
      told += chunk;
      if (before === '') child.kill('SIGINT');
    });
    await once(child, 'close');
    expect(told).toMatch(/^open +spent token\n.*\n +answered +it cannot be told: it was interrupted$/m);
    await nothingLeft();
  });

  it('deletes what a run that was killed left over, and no volume that has a name or is of another', async () => {
    await start('region');
    const { instanceId, availabilityZone } = box.node(0);
    const make = async (tags: Record<string, string>): Promise<string> => {
      const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
      const TagSpecifications = [{ ResourceType: 'volume' as const, Tags }];
      const spec = { AvailabilityZone: availabilityZone, Size: 1, TagSpecifications };
      return (await box.ec2.send(new CreateVolumeCommand(spec))).VolumeId ?? '';
    };
    const now = new Date().toISOString();
    const cluster = { [tagKeys.cluster]: 'default' };
    await make({ ...cluster, [tagKeys.check]: `${instanceId} ${now}` });
    await make({ ...cluster, [tagKeys.check]: 'i-00000000000000001 2026-01-01T00:00:00.000Z' });
    const kept = [
      await make({ ...cluster, [tagKeys.check]: `i-00000000000000001 ${now}` }),
      await make({ ...cluster, [tagKeys.check]: `${instanceId} ${now}`, [tagKeys.name]: 'data' }),
      await make({ [tagKeys.cluster]: 'other', [tagKeys.check]: `${instanceId} ${now}` }),
    ];
    const { stdout } = await run('--yes');
    expect(stdout).toMatch(/^deleted what an earlier run left over: vol-\w+, vol-\w+$/m);
    const ids = await eventually(async () => {
      const left = (await box.volumes()).map(({ VolumeId }) => VolumeId);
      return left.length === kept.length && left;
    });
    expect(new Set(ids)).toEqual(new Set(kept));
  });
});
