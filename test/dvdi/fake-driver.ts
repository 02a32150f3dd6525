import type { VolumeDriver } from '../../src/volumes/types.ts';

export interface FakeDriver extends VolumeDriver {
  /** Every call, as [method, ...arguments without the caller]. */
  readonly calls: unknown[][];
}

/** A driver that agrees to everything and notes it; `own` replaces methods. */
export function fakeDriver(own: Partial<VolumeDriver> = {}): FakeDriver {
  const calls: unknown[][] = [];
  const noted = <A extends unknown[], R>(name: string, result: (...given: A) => R) =>
    (async (...given: A) => {
      calls.push([name, ...given.filter((value) => !isCaller(value))]);
      return result(...given);
    }) as (...given: A) => Promise<Awaited<R>>;
  return {
    calls,
    create: noted('create', own.create ?? (async () => {})),
    remove: noted('remove', own.remove ?? (async () => {})),
    mount: noted('mount', own.mount ?? (async (name: string) => `/mnt/${name}`)),
    unmount: noted('unmount', own.unmount ?? (async () => {})),
    path: noted('path', own.path ?? (async () => '')),
    get: noted(
      'get',
      own.get ?? (async (name: string) => ({ name, mountpoint: undefined, createdAt: undefined, status: {} })),
    ),
    list: noted('list', own.list ?? (async () => [])),
    waitingFor: own.waitingFor ?? (() => undefined),
  };
}

const isCaller = (value: unknown) => typeof value === 'object' && value !== null && 'signal' in value;
