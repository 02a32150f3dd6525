import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { billText } from '../../src/cli/modify/bill.ts';
import { monthlyCost, prices } from '../../src/volumes/options/prices.ts';
import type { ModifyReport, Operator } from '../../src/volumes/types.ts';
import { fakeDriver } from '../dvdi/fake-driver.ts';
import { serving } from '../dvdi/serving.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const idle = fakeDriver().operator;
const GiB = 2 ** 30;

async function daemon(own: Partial<Operator>) {
  const { socketPath } = await serving(fakeDriver({ operator: { ...idle, ...own } }));
  return (...argv: string[]) =>
    new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, [main, ...argv, '--socket', socketPath], (error, stdout, stderr) => {
        resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
}

const before = { sizeGiB: 100, type: 'gp3', iops: 3000, throughput: 125 };
const begun: ModifyReport = {
  name: 'a',
  volumeId: 'vol-1',
  before,
  after: { ...before, sizeGiB: 150 },
  changes: [{ option: 'size', was: '100', is: '150' }],
  sent: true,
  modification: { state: 'modifying', progress: 0, startedAt: '2026-01-01T00:00:00Z', message: undefined },
  filesystem: { diskBytes: 100 * GiB, filesystemBytes: 100 * GiB, refused: undefined },
  done: false,
  notes: [],
  next: 'Its filesystem grows here within 10 s of its disk',
};
const ended: ModifyReport = {
  ...begun,
  modification: { state: 'optimizing', progress: 1, startedAt: '2026-01-01T00:00:00Z', message: undefined },
  filesystem: { diskBytes: 150 * GiB, filesystemBytes: 150 * GiB, refused: undefined },
  done: true,
};

test('resize waits for the disk and the filesystem, tells how far they are, and shows before and after', async () => {
  const asked: unknown[] = [];
  const looks = [begun, { ...ended, filesystem: begun.filesystem, done: false }, ended];
  const command = await daemon({
    modify: async (...given) => {
      asked.push(given);
      return begun;
    },
    modification: async () => looks.shift() ?? ended,
  });
  expect(await command('resize', 'a', '+50')).toEqual({
    status: 0,
    stdout:
      'a (vol-1):\n  size: 100 -> 150\nEC2 has done it, and optimizes the volume for minutes or hours: until then it takes no ' +
      'other change.\nIts filesystem had 100 GiB and has 150 GiB.\n',
    stderr:
      'a (vol-1):\n  size: 100 -> 150\nwaiting for EC2 to modify vol-1 (0%)\nwaiting for the filesystem to follow its disk (it has 100 GiB)\n',
  });
  expect(asked).toEqual([['a', { size: '+50' }, { dryRun: false }]]);
});

test('modify sends all that is given at once, and does not wait when told so', async () => {
  const asked: unknown[] = [];
  const command = await daemon({
    modify: async (...given) => {
      asked.push(given);
      return { ...begun, filesystem: undefined, next: 'i-2 has it' };
    },
  });
  const { status, stdout } = await command(
    ...['modify', 'a', '--type', 'gp3', '--iops', '4000', '--auto-grow', '80%', '--auto-grow-max', '500', '--no-wait'],
  );
  expect(status).toBe(0);
  expect(stdout).toMatch(/EC2 is at it \(0%\)\..*i-2 has it\.\n$/s);
  expect(asked).toEqual([['a', { type: 'gp3', iops: '4000', autoGrow: '80%', autoGrowMax: '500' }, { dryRun: false }]]);
  expect(await command('modify', 'a')).toMatchObject({ status: 2 });
  expect(await command('resize', 'a')).toMatchObject({ status: 2 });
});

test('a dry run tells what it does to the bill; a filesystem that does not follow is status 1', async () => {
  const refused = { ...ended, filesystem: { diskBytes: 150 * GiB, filesystemBytes: 100 * GiB, refused: 'no right' } };
  const command = await daemon({
    modify: async (_name, _options, { dryRun }) => (dryRun ? { ...begun, modification: undefined } : begun),
    modification: async () => refused,
  });
  expect((await command('resize', 'a', '150', '--dry-run')).stdout).toMatch(/\$8\.00 a month now and \$12\.00 then/);
  expect(await command('resize', 'a', '150')).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('Its filesystem does not grow: no right.'),
  });
  expect(JSON.parse((await command('resize', 'a', '150', '--json')).stdout)).toMatchObject({
    sent: true,
    before,
    filesystem: { refused: 'no right' },
  });
});

describe('the bill', () => {
  it('counts what is beyond the free part', () => {
    expect(monthlyCost({ type: 'gp3', sizeGiB: 100, iops: 4000, throughput: 225 })).toBeCloseTo(8 + 5 + 4);
    expect(monthlyCost({ type: 'io2', sizeGiB: 100, iops: 1000, throughput: undefined })).toBeCloseTo(12.5 + 65);
    expect(monthlyCost({ ...before, type: 'new' })).toBeUndefined();
    expect(billText({ ...before, type: 'new' }, before)).toBeUndefined();
  });

  it('is by the table that the docs show', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/grow.md'), 'utf8');
    for (const [type, { gib, iops, throughput }] of Object.entries(prices)) {
      const cell = (price: number | undefined) => (price === undefined ? '' : `${price} `);
      const row = page.split('\n').find((line) => line.startsWith(`| \`${type}\` |`));
      expect(row).toContain(`| \`${type}\` | ${gib} | ${cell(iops)}`);
      if (throughput !== undefined) expect(row).toContain(`| ${throughput} above`);
    }
  });
});
