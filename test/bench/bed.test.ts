import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bed, bedIn, inParallel } from '../../bench/bed.ts';
import { openLab } from '../../bench/lab.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';

const times = { create: 300, attach: 500, detach: 200 };
let box: TestSandbox;
let bed: Bed;

beforeAll(async () => {
  box = await testSandbox({ nodes: 1, times, nodeEnv: { DVE_LINGER: '0' } });
  bed = bedIn(box.sandbox);
  await bed.quiet();
});
afterAll(() => box.close());

test("a measurement has the wall time, EC2's own part of it, and the nodes' calls as EC2 heard them", async () => {
  const create = await bed.measure(async () => {
    await bed.call(bed.node(), 'Create', { Name: 'measured', Opts: { size: '1' } });
    await box.volumes();
  });
  expect(create.calls.filter(({ action }) => action === 'CreateVolume')).toHaveLength(1);
  expect(new Set(create.calls.map(({ caller }) => caller))).toEqual(new Set([bed.node().instanceId]));
  expect(create.ec2Ms).toBeGreaterThan(times.create - 10);
  expect(create.wallMs).toBeGreaterThanOrEqual(create.ec2Ms - 10);

  const mount = await bed.measure(() => bed.mount(bed.node(), 'measured'));
  expect(mount.ec2Ms).toBeGreaterThan(0.8 * times.attach - 10);

  const unmount = await bed.measure(
    () => bed.unmount(bed.node(), 'measured'),
    () => bed.detached(),
  );
  expect(unmount.calls.map(({ action }) => action)).toContain('DetachVolume');
  const [plugged, attached, detached] = ['plugged', 'attached', 'detached'].map(
    (what) => bed.sandbox.moments().find((moment) => moment.what === what)?.at ?? Number.NaN,
  );
  expect(plugged).toBeLessThan(attached ?? 0);
  expect(attached).toBeLessThan(detached ?? 0);
});

test('work side by side is all done, and not more at a time than asked', async () => {
  const seen: number[] = [];
  let [now, most] = [0, 0];
  await inParallel(20, 3, async (index) => {
    now += 1;
    most = Math.max(most, now);
    await Promise.resolve();
    seen.push(index);
    now -= 1;
  });
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(most).toBe(3);
});

test('a lab that is closed ends what is still being opened, and opens nothing more', async () => {
  const lab = openLab();
  const ended: string[] = [];
  lab.onEnd(async () => ended.push('first'));
  lab.onEnd(async () => ended.push('last'));
  const begun = lab.directory();
  await lab.close();
  expect(existsSync(await begun)).toBe(false);
  expect(ended).toEqual(['last', 'first']);
  await expect(async () => lab.directory()).rejects.toThrow('the benchmark is over');
});
