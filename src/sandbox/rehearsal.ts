import type { World } from './world.ts';

const nothing = async (): Promise<undefined> => undefined;

/**
 * A world in which an action checks all that it checks, and does nothing: for DryRun, which on EC2 looks at the parameters before
 * it says that the call would have succeeded (the EBS CSI driver reads volume limits from such refusals).
 */
export function rehearsalOf(world: World): World {
  const { store, files, tasks, moments, faults } = world;
  return {
    ...world,
    store: { state: structuredClone(store.state), save: () => {}, past: (age) => store.past(age) },
    files: without(files),
    tasks: { start: () => {}, sleep: nothing, stopping: tasks.stopping, close: nothing },
    moments: without(moments),
    faults: Object.assign(Object.create(null), {
      add: () => undefined,
      list: () => faults.list(),
      clear: () => {},
      take: () => undefined,
      standing: () => [],
      ofVolume: () => undefined,
      isListed: () => false,
    }),
    // What an action does to machines and files it does in turn.
    order: { run: nothing as World['order']['run'] },
  };
}

/** The same object, none of whose methods does anything. */
function without<T extends object>(real: T): T {
  return new Proxy(real, { get: () => nothing });
}
