import { beforeEach, expect, it, vi } from 'vitest';
import { failure, pass, played, useVirtualTime } from '../../support/virtual-time.ts';
import { bench } from './driven.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

/** The volume "a" mounted here for a caller without an id. */
async function mounted() {
  const all = await bench();
  await played(all.driver.create('a', {}));
  await played(all.driver.mount('a', undefined));
  const holders = async () => (await played(all.operator.status())).volumes[0]?.holders.map(({ id }) => id);
  return { ...all, holders, volume: [...all.ec2.volumes.values()].at(-1)! };
}

it('ends the last holder: the volume is unmounted and goes free', async () => {
  const { operator, ec2, volume, holders } = await mounted();
  expect(await holders()).toEqual(['anonymous']);
  await played(operator.endHolder('a', 'anonymous'));
  expect(await holders()).toEqual([]);
  await pass(60_000);
  expect(ec2.volumes.get(volume.id)?.attachments).toEqual([]);
});

it('ends one of several: the others keep the volume mounted', async () => {
  const { operator, driver, holders } = await mounted();
  await played(driver.mount('a', 'one'));
  await played(operator.endHolder('a', 'anonymous'));
  expect(await holders()).toEqual(['one']);
  expect((await driver.get('a')).mountpoint).not.toBeUndefined();
});

it('is refused while a container has the volume, and while a program has a file of it open', async () => {
  const { operator, host, volume, holders, driver } = await mounted();
  host.mountedElsewhere.add(volume.id);
  expect(await failure(operator.endHolder('a', 'anonymous'))).toMatchObject({ code: 'IN_USE_HERE' });
  expect(await holders()).toEqual(['anonymous']);
  expect((await driver.get('a')).mountpoint).not.toBeUndefined();
  host.mountedElsewhere.clear();
  host.openTargets.add([...host.mounted.keys()][0] ?? '');
  expect(await failure(operator.endHolder('a', 'anonymous'))).toMatchObject({ code: 'IN_USE_HERE' });
  expect(await holders()).toEqual(['anonymous']);
});

it('is refused while a container has it that cannot be seen from here', async () => {
  const { operator, host, volume, holders } = await mounted();
  host.mountedElsewhere.add(volume.id);
  host.hidden.add(volume.id);
  expect(await failure(operator.endHolder('a', 'anonymous'))).toMatchObject({ code: 'IN_USE_HERE' });
  expect(await holders()).toEqual(['anonymous']);
});

it('of a volume or holder that is not here is refused with what is', async () => {
  const { operator } = await mounted();
  const other = await failure(operator.endHolder('a', 'someone'));
  expect(other).toMatchObject({ code: 'INVALID_REQUEST', parts: { why: 'its holders here are anonymous' } });
  const absent = await failure(operator.endHolder('b', 'anonymous'));
  expect(absent).toMatchObject({ code: 'INVALID_REQUEST', parts: { why: 'this node does not hold it' } });
});
