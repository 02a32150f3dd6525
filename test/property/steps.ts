import fc from 'fast-check';
import type { Host } from '../../src/host/types.ts';
import { delay } from './clock.ts';
import type { Ec2Fault } from './cloud.ts';
import type { NodeOf } from './daemons.ts';
import type { World } from './world.ts';

export const names = ['a', 'b'];
const ec2Faults: readonly Ec2Fault[] = [
  'throttle',
  'error',
  'lost',
  'slow',
  'stale',
  'stuck-attaching',
  'stuck-detaching',
];
const hostFaults: readonly (keyof Host)[] = [
  'mount',
  'unmount',
  'makeFilesystem',
  'checkFilesystem',
  'openSubdirectory',
  'isDeviceBusy',
  'findDevice',
  'mountedAt',
];

/** Something that happens, and how long the next thing waits. */
export interface Step {
  readonly does: string;
  readonly thenMs: number;
  run(world: World): void;
}

const node = fc.nat(2);
const name = fc.constantFrom('a', 'a', 'a', 'b');
const id = fc.constantFrom('x', 'x', 'y', 'z', undefined);
const thenMs = fc.oneof(
  { weight: 4, arbitrary: fc.nat(200) },
  { weight: 3, arbitrary: fc.nat(3000) },
  { weight: 2, arbitrary: fc.nat(10_000) },
  { weight: 1, arbitrary: fc.nat(60_000) },
);

const pick = <T>(list: readonly T[], index: number): T | undefined => list[index % Math.max(1, list.length)];

function step<T extends object>(
  does: string,
  given: fc.Arbitrary<T>,
  run: (world: World, given: T) => void,
): fc.Arbitrary<Step> {
  return fc.tuple(given, thenMs).map(([value, ms]) => ({
    does: `${does} ${JSON.stringify(value)}`,
    thenMs: ms,
    run: (world) => run(world, value),
  }));
}

const onNode = <T extends object>(
  does: string,
  given: { [K in keyof T]: fc.Arbitrary<T[K]> },
  run: (world: World, where: NodeOf, given: T) => void,
): fc.Arbitrary<Step> =>
  step(does, fc.record({ node, ...given } as unknown as Record<string, fc.Arbitrary<unknown>>), (world, value) => {
    const where = pick(world.nodes, Number(value['node']));
    if (where !== undefined) run(world, where, value as T);
  });

const ms = (longest: number) => fc.nat(longest);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const create = onNode<{ name: string }>('create', { name }, (world, where, given) => world.create(where, given.name));
const mount = onNode<{
  name: string;
  id: string | undefined;
  leavesMs: number | undefined;
  containerMs: number | undefined;
}>(
  'mount',
  {
    name,
    id,
    leavesMs: fc.option(ms(8000), { nil: undefined, freq: 2 }) as fc.Arbitrary<number | undefined>,
    containerMs: maybe(ms(3000)),
  },
  (world, where, given) => {
    const { leavesMs, containerMs } = given;
    world.mount(where, given.name, given.id, {
      ...(leavesMs === undefined ? {} : { leavesMs }),
      ...(containerMs === undefined ? {} : { containerMs }),
    });
  },
);
const unmount = onNode<{ name: string; id: string | undefined }>('unmount', { name, id }, (world, where, given) =>
  world.unmount(where, given.name, given.id),
);
const leaveHolder = step('unmount the holder', fc.record({ which: fc.nat(20) }), (world, { which }) => {
  const holding = world.nodes.flatMap((where) => where.holders.map((holder) => ({ where, holder })));
  const found = pick(holding, which);
  if (found !== undefined) world.unmount(found.where, found.holder.name, found.holder.id);
});
const remove = onNode<{ name: string }>('remove', { name }, (world, where, given) => world.remove(where, given.name));
const undelete = onNode<{ name: string }>('undelete', { name }, (world, where, given) =>
  world.undelete(where, given.name),
);
const clone = onNode<{ name: string }>('clone', { name }, (world, where, given) => {
  world.create(where, given.name === 'a' ? 'b' : 'a', given.name);
});
const take = onNode<{ name: string }>('take', { name }, (world, where, given) => world.take(where, given.name));
const rollback = onNode<{ name: string }>('rollback', { name }, (world, where, given) =>
  world.rollback(where, given.name),
);
const purge = onNode<object>('purge', {}, (world, where) => world.purge(where));
const look = onNode<{ name: string; verb: 'get' | 'path' }>(
  'look',
  { name, verb: fc.constantFrom('get', 'get', 'path') },
  (world, where, given) => world.look(where, given.name, given.verb),
);
const list = onNode<object>('list', {}, (world, where) => world.list(where));
const endContainer = step('end container', fc.record({ which: fc.nat(20), says: fc.boolean() }), (world, given) => {
  const found = pick(world.containers(), given.which);
  if (found !== undefined) world.endContainer(found.node, found.container, given.says);
});
const write = step('write', fc.record({ which: fc.nat(20) }), (world, { which }) => {
  const found = pick(world.containers(), which);
  if (found !== undefined) world.write(found.node, found.container);
});
const kill = onNode<{ downMs: number }>('kill', { downMs: ms(5000) }, (world, where, { downMs }) => {
  world.killDaemon(where);
  void delay(downMs).then(() => world.startDaemon(where));
});
const loseJournal = onNode<object>('kill and lose the journal', {}, (world, where) => {
  world.loseJournal(where);
});
const reboot = onNode<{ downMs: number }>('reboot', { downMs: ms(5000) }, (world, where, { downMs }) => {
  world.reboot(where);
  void delay(downMs).then(() => world.startDaemon(where));
});
const stop = onNode<{ how: 'cut' | 'hibernate' }>(
  'stop',
  { how: fc.constantFrom('cut', 'cut', 'hibernate') },
  (world, where, { how }) => void world.stop(where, how),
);
const start = onNode<object>('start', {}, (world, where) => void world.start(where));
const terminate = onNode<object>('terminate', {}, (world, where) => void world.terminate(where));
const ec2Fault = step('ec2 fault', fc.record({ kind: fc.constantFrom(...ec2Faults), ms: ms(20_000) }), (world, given) =>
  world.cloud.fault(given.kind, given.ms),
);
const hostFault = onNode<{ method: keyof Host }>(
  'host fault',
  { method: fc.constantFrom(...hostFaults) },
  (_, where, { method }) => void where.machine.faults.set(method, method === 'unmount' ? 'TARGET_BUSY' : 'HOST_FAILED'),
);
const journalFull = onNode<{ ms: number }>('journal full', { ms: ms(10_000) }, (_, where, given) => {
  where.journal.isFull = () => true;
  void delay(given.ms).then(() => {
    where.journal.isFull = () => false;
  });
});
const force = step('force', fc.record({ name, andDelete: fc.boolean() }), (world, given) =>
  world.force(given.name, given.andDelete),
);

const anything = fc.oneof(
  { weight: 3, arbitrary: create },
  { weight: 14, arbitrary: mount },
  { weight: 3, arbitrary: unmount },
  { weight: 7, arbitrary: leaveHolder },
  { weight: 3, arbitrary: remove },
  { weight: 3, arbitrary: undelete },
  { weight: 2, arbitrary: clone },
  { weight: 3, arbitrary: take },
  { weight: 3, arbitrary: rollback },
  { weight: 1, arbitrary: purge },
  { weight: 4, arbitrary: look },
  { weight: 1, arbitrary: list },
  { weight: 6, arbitrary: endContainer },
  { weight: 4, arbitrary: write },
  { weight: 5, arbitrary: kill },
  { weight: 1, arbitrary: loseJournal },
  { weight: 2, arbitrary: reboot },
  { weight: 2, arbitrary: stop },
  { weight: 2, arbitrary: start },
  { weight: 1, arbitrary: terminate },
  { weight: 6, arbitrary: ec2Fault },
  { weight: 2, arbitrary: hostFault },
  { weight: 1, arbitrary: journalFull },
  { weight: 1, arbitrary: force },
);

/** What may happen to a world, one thing after another. */
export const steps: fc.Arbitrary<Step[]> = fc.array(anything, { minLength: 10, maxLength: 60, size: 'max' });
