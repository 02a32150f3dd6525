import type { SandboxNode } from '../../src/sandbox/sandbox.ts';
import type { Bed } from '../bed.ts';
import { rowOf } from '../row.ts';
import type { Sample } from '../sample.ts';
import { type Case, rounds } from './case.ts';

const roundTripMs = 60;

export const mount: Case = {
  name: 'mount',
  summary: 'mount and unmount a volume, new and used, already here and lingering',
  async run(lab) {
    const bed = await lab.bed();
    const lives = await rounds(5, (round) => life(bed, bed.node(), `life${round}`));
    const samples = (part: keyof Life) => lives.map((each) => each[part]);
    return [
      rowOf({
        id: 'mount-blank',
        operation: 'first mount of a new volume: attach, mkfs',
        samples: samples('blank'),
        limits: { calls: 6, overhead: 250 },
        apart: mkfsTime,
        note: 'mkfs with the look and the two tags that guard it (3 calls, 0.18 s of round trips) is not counted as overhead',
      }),
      rowOf({
        id: 'mount',
        operation: 'mount, attach needed',
        samples: samples('used'),
        limits: { calls: 3, overhead: 250 },
      }),
      rowOf({
        id: 'mount-here',
        operation: 'mount, already here',
        samples: samples('here'),
        limits: { calls: 0, wall: 10 },
      }),
      rowOf({
        id: 'mount-linger',
        operation: 'mount within the linger',
        samples: samples('lingering'),
        limits: { calls: 0 },
        note: 'checks and mounts the filesystem, which the last unmount took away',
      }),
      rowOf({ id: 'unmount', operation: 'unmount, not the last', samples: samples('notLast'), limits: { calls: 0 } }),
      rowOf({
        id: 'unmount-last',
        operation: 'last unmount',
        samples: samples('last'),
        limits: { calls: 2, wall: 100 },
        note: 'the wall time is that of the answer; the calls come after it, up to the end of the detach',
      }),
    ];
  },
};

type Life = Awaited<ReturnType<typeof life>>;

/** One volume from its creation to its second detach. */
async function life(bed: Bed, node: SandboxNode, name: string) {
  await bed.call(node, 'Create', { Name: name, Opts: { size: '1' } });
  const blank = await bed.measure(() => bed.mount(node, name));
  const here = await bed.measure(() => bed.mount(node, name, 'second'));
  const notLast = await bed.measure(() => bed.unmount(node, name, 'second'));
  await bed.unmount(node, name);
  const lingering = await bed.measure(() => bed.mount(node, name));
  const last = await bed.measure(
    () => bed.unmount(node, name),
    () => bed.detached(),
  );
  const used = await bed.measure(() => bed.mount(node, name));
  await bed.unmount(node, name);
  await bed.detached();
  return { blank, here, notLast, lingering, last, used };
}

/**
 * From sending the tag before mkfs to the answer to the tag after it, which are the last two: EC2 notes a call in the
 * middle of its round trip.
 */
function mkfsTime({ calls }: Sample): number {
  const tags = calls.filter(({ action, result }) => action === 'CreateTags' && result === 'OK');
  const [begun, ended] = tags.slice(-2).map(({ time }) => Date.parse(time));
  return begun === undefined || ended === undefined ? 0 : ended - begun + roundTripMs;
}
