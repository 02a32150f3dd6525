import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { clusterLines, duplicateTexts } from '../../src/cli/ls/view.ts';
import { constraintsFor } from '../../src/cli/where/view.ts';
import { DriverError } from '../../src/errors.ts';
import type { ClusterVolume, ClusterVolumes, Operator } from '../../src/volumes/types.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

const row = (name: string, change: Partial<ClusterVolume> = {}): ClusterVolume => ({
  name,
  retained: false,
  duplicate: false,
  volumeId: `vol-${name}`,
  zone: 'eu-west-1a',
  type: 'gp3',
  sizeGiB: 16,
  state: 'available',
  owner: undefined,
  notes: [],
  ...change,
});
const cluster = (...volumes: ClusterVolume[]): ClusterVolumes => ({
  cluster: 'shop',
  volumes,
  paused: undefined,
  stale: undefined,
});
const owner = {
  instanceId: 'i-2',
  instanceName: undefined,
  address: undefined,
  instanceState: 'stopped',
  device: '/dev/xvdba',
  since: '2026-01-21T09:00:43.000Z',
};

describe("the cluster's volumes for people", () => {
  it('are a line each, with who has them', () => {
    const stuck = row('pgdata', { state: 'attached', owner, notes: ['i-3 is taking it over (f-1)'] });
    expect(clusterLines(cluster(row('logs'), stuck), undefined)).toEqual([
      'NAME    VOLUME      ZONE        TYPE  SIZE    STATE      OWNER          SINCE',
      'logs    vol-logs    eu-west-1a  gp3   16 GiB  available  -              -',
      'pgdata  vol-pgdata  eu-west-1a  gp3   16 GiB  attached   i-2 (stopped)  2026-01-21T09:00:43.000Z',
      '    i-3 is taking it over (f-1)',
    ]);
  });

  it('say what leads to no name, whose state is not known, and that fencing is paused', () => {
    const text = clusterLines(
      {
        ...cluster(
          row('old', { retained: true }),
          row('', { name: undefined, volumeId: 'vol-9' }),
          row('task', { state: 'attached', owner: { ...owner, instanceId: undefined } }),
          row('web', { state: 'attached', owner: { ...owner, instanceState: undefined } }),
        ),
        paused: 'network',
      },
      undefined,
    ).join('\n');
    expect(text).toMatch(/^FENCING PAUSED in the whole cluster: network\n/);
    expect(text).toMatch(/^old .*\n {4}it was removed, and kept/m);
    expect(text).toMatch(/^- +vol-9 .*\n {4}it has lost its docker-volume-ebs:name tag/m);
    expect(text).toContain('a resource that AWS manages');
    expect(text).toContain('i-2 (state not known)');
  });

  it('keep who has them on a narrow terminal', () => {
    const text = clusterLines(cluster(row('pgdata', { state: 'attached', owner })), 50);
    for (const line of text) expect(line.length).toBeLessThanOrEqual(50);
    expect(text[1]).toMatch(/^pgdata +vol-pgdata .*attached +i-2 \(stopped\)$/);
  });

  it('that share a name are shouted about', () => {
    const twice = [row('a', { duplicate: true }), row('a', { duplicate: true, volumeId: 'vol-2', zone: 'eu-west-1b' })];
    expect(duplicateTexts(cluster(row('b'), ...twice))).toEqual([
      expect.stringMatching(
        /^DUPLICATE NAME: 2 EBS volumes are called a: vol-a \(eu-west-1a, available\), vol-2 \(eu-west-1b, available\)\. /,
      ),
    ]);
    expect(clusterLines(cluster(...twice), undefined).filter((line) => line === '    DUPLICATE NAME')).toHaveLength(2);
  });
});

/** What ls prints with a daemon that tells this. */
const ls = (volumes: Operator['volumes'], ...argv: string[]) => typed(volumes, 'ls', ...argv);

/** What a command prints with a daemon that tells this. */
async function typed(volumes: Operator['volumes'], ...argv: string[]) {
  const { operator } = fakeDriver();
  const { socketPath } = await serving(fakeDriver({ operator: { ...operator, volumes } }));
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [main, ...argv, '--socket', socketPath], (error, stdout, stderr) => {
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

const has = {
  instanceId: 'i-2',
  instanceName: 'web-1',
  address: '10.0.0.5',
  instanceState: 'running',
  device: '/dev/xvdba',
  since: owner.since,
};
const answer = {
  cluster: 'shop',
  volumes: [
    row('a'),
    row('b', { owner: has, state: 'attached' }),
    row('c', { zone: 'eu-west-1b', duplicate: true }),
    row('c', { zone: 'eu-west-1a', duplicate: true, volumeId: 'vol-c2', owner: has }),
  ],
  paused: undefined,
  stale: undefined,
};

test('ls shows what is asked for, and duplicates whatever is asked for', async () => {
  const { status, stdout, stderr } = await ls(async () => answer, '--free', '--zone', 'eu-west-1a');
  expect([status, stderr]).toEqual([0, '']);
  expect((await ls(async () => answer, 'b')).stdout).toMatch(/ i-2 \(web-1, 10\.0\.0\.5, running\) /);
  expect(stdout).toMatch(/^NAME .*\na +vol-a .*\nDUPLICATE NAME: 2 EBS volumes are called c: .*\n$/);
  const { stdout: json } = await ls(async () => answer, 'b', '--json');
  expect(JSON.parse(json)).toMatchObject({
    volumes: [{ name: 'b', owner: { instanceId: 'i-2', instanceState: 'running' } }],
  });
});

test('ls says how old an earlier answer is, and fails where there is none', async () => {
  const stale = 'EC2 cannot be asked: no network; this was seen 90 s ago';
  expect(await ls(async () => ({ ...answer, stale }), 'a')).toMatchObject({
    status: 0,
    stderr: `This is an earlier answer: ${stale}.\n`,
  });
  const denied = new DriverError('EC2_DENIED', { tried: 'list the volumes', why: 'EC2 says no', todo: 'Allow it' });
  expect(await ls(() => Promise.reject(denied))).toEqual({
    status: 1,
    stdout: '',
    stderr: 'docker-volume-ebs: cannot list the volumes: EC2 says no. Allow it.\n',
  });
});

test('ls -q gives the names alone, once each; a name or a zone without a volume is told of, with status 1', async () => {
  expect(await ls(async () => answer, '-q')).toEqual({ status: 0, stdout: 'a\nb\nc\n', stderr: '' });
  expect(await ls(async () => answer, '-q', 'a', 'other')).toEqual({
    status: 1,
    stdout: 'a\n',
    stderr: 'There is no volume "other" in the cluster shop.\n',
  });
  expect(await ls(async () => answer, '--json', '--zone', 'eu-west-1c')).toMatchObject({
    status: 1,
    stderr: 'No volume of the cluster shop is in eu-west-1c, only in eu-west-1a, eu-west-1b.\n',
  });
});

test('where gives the zone of a volume, and what keeps containers there in the words of each scheduler', async () => {
  const where = (...argv: string[]) => typed(async () => answer, 'where', ...argv);
  const shown = await where('b');
  expect([shown.status, shown.stderr]).toEqual([0, '']);
  expect(shown.stdout).toMatch(/^b is in eu-west-1a \(vol-b, attached to i-2\)\. /);
  expect(shown.stdout).toMatch(/ {2}--constraint node\.labels\.zone==eu-west-1a\n/);
  expect(await where('a', '-q')).toEqual({ status: 0, stdout: 'eu-west-1a\n', stderr: '' });
  const { name, volumeId, zone, constraints } = JSON.parse((await where('a', '--json')).stdout);
  expect({ name, volumeId, zone }).toEqual({ name: 'a', volumeId: 'vol-a', zone: 'eu-west-1a' });
  expect(constraints).toEqual(constraintsFor('eu-west-1a'));
  expect(await where('other')).toMatchObject({ status: 1, stderr: expect.stringContaining('no volume "other"') });
  expect(await where('c')).toMatchObject({
    status: 1,
    stdout: '',
    stderr: expect.stringContaining('c: vol-c in eu-west-1b, vol-c2 in eu-west-1a.'),
  });
  expect(await where()).toMatchObject({ status: 2 });
});

test.each([
  ['swarm', 'swarm.md'],
  ['nomad', 'nomad.md'],
  ['ecs', 'ecs.md'],
  ['marathon', 'mesos.md'],
] as const)('where gives the constraint of %s as the page %s has it', (scheduler, page) => {
  const text = readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8').replace(/^ +/gm, '');
  expect(text).toContain(constraintsFor('us-east-1a')[scheduler].replace(/^ +/gm, ''));
});
