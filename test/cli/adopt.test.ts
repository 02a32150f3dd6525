import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { CreateVolumeCommand } from '@aws-sdk/client-ec2';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, tagsOf, testSandbox } from '../support/sandbox.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

function adopt(argv: readonly string[], env: Record<string, string> = {}) {
  const bare = { PATH: process.env['PATH'], AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/nowhere' };
  return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [main, 'adopt', ...argv], { env: { ...bare, ...env } }, (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

test('adopt --help says how it is used', async () => {
  const { status, stdout } = await adopt(['--help']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^Usage: docker-volume-ebs adopt .*Exit status:/s);
});

test('a wrong command line is status 2 and one line, before anything is asked', async () => {
  const wrong: [argv: string[], said: RegExp][] = [
    [['--apply'], /say which VOLUME, or --all/],
    [['--undo'], /say which VOLUME/],
    [['--all', 'data'], /--all takes no VOLUME/],
    [['--all', '--undo'], /not --all/],
    [['--as', 'b', 'a', 'c'], /--as is for adopting one VOLUME/],
    [['--nonsense'], /--nonsense/],
    [['--cluster=', 'data'], /--cluster is empty/],
    [['--subdirectory=', 'data'], /--subdirectory is empty/],
    [['--zone=', '--all'], /--zone is empty/],
    [['--subdirectory=../etc', 'data'], /"..\/etc" is not inside the volume/],
    [[], /which region\? Set AWS_REGION/],
  ];
  const outcomes = await Promise.all(wrong.map(([argv]) => adopt(argv)));
  for (const [index, { status, stdout, stderr }] of outcomes.entries()) {
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(wrong[index]?.[1] ?? /never/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
});

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('adopt, in a region without any daemon', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 0, zones: 2 });
    const names = [
      ['data', 'a'],
      ['logs', 'a'],
      ['logs', 'b'],
    ] as const;
    for (const [name, zone] of names) {
      const tags = [{ ResourceType: 'volume' as const, Tags: [{ Key: 'Name', Value: name }] }];
      const AvailabilityZone = `${box.sandbox.region}${zone}`;
      await box.ec2.send(new CreateVolumeCommand({ AvailabilityZone, Size: 1, TagSpecifications: tags }));
    }
    await eventually(async () => (await box.volumes()).every(({ State }) => State === 'available'));
  });
  afterAll(() => box?.close());

  const json = async (...argv: string[]) => {
    // REX-Ray's variables are as good as ours.
    const keys = { EBS_ACCESSKEY: 'test', EBS_SECRETKEY: 'test', EBS_ENDPOINT: box.sandbox.endpoint };
    const { status, stdout, stderr } = await adopt(['--json', ...argv], { ...keys, AWS_REGION: box.sandbox.region });
    if (stdout === '') throw new Error(stderr);
    return { status, said: JSON.parse(stdout) };
  };

  it('tells programs what may be adopted, and where', async () => {
    const { status, said } = await json();
    expect(status).toBe(0);
    expect(said).toHaveLength(3);
    expect(said).toContainEqual(expect.objectContaining({ name: 'data', verdict: 'free', remarks: [], sizeGiB: 1 }));
    expect((await json('--zone', 'us-east-1b')).said).toMatchObject([{ name: 'logs', verdict: 'by-id' }]);
  });

  it('adopts all that is free, and of the rest what is named, once', async () => {
    expect(await json('--all')).toMatchObject({ status: 0, said: [{ kind: 'adopt', name: 'data', done: false }] });
    expect((await box.volumes('data')).map((volume) => Object.keys(tagsOf(volume)))).toEqual([['Name']]);
    const applied = await json('--all', '--apply', '--cluster', 'blue', '--subdirectory', '/data/');
    expect(applied).toMatchObject({ status: 0, said: [{ kind: 'adopt', name: 'data', done: true }] });
    expect((await box.volumes('data')).map(tagsOf)).toMatchObject([
      {
        'docker-volume-ebs:cluster': 'blue',
        'docker-volume-ebs:name': 'data',
        'docker-volume-ebs:subdirectory': 'data',
      },
    ]);
    expect(await json('--all', '--apply', '--cluster', 'blue')).toEqual({ status: 0, said: [] });
    expect(await json('data', 'logs', '--apply', '--cluster', 'blue')).toMatchObject({
      status: 1,
      said: [
        { kind: 'done', done: true },
        { kind: 'refused', word: 'logs', done: false },
      ],
    });
  });

  it('says what EC2 refuses, and that nothing was adopted', async () => {
    await box.fault({ kind: 'deny', action: 'CreateTags' });
    const [volume] = await box.volumes('logs');
    const { status, said } = await json(volume?.VolumeId ?? '', '--apply', '--cluster', 'blue');
    await box.clearFaults();
    expect({ status, said }).toMatchObject({
      status: 1,
      said: [{ kind: 'adopt', done: false, failure: expect.stringMatching(/CreateTags/) }],
    });
  });
});
