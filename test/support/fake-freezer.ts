import type { Freezer } from '../../src/host/types.ts';

/** A freezer of what is mounted at `target`, in a machine where these targets are frozen. */
export function fakeFreezer(frozen: Set<string>, target: string): Freezer {
  let ours = false;
  return {
    async freeze() {
      if (frozen.has(target)) return 'busy';
      frozen.add(target);
      ours = true;
      return 'frozen';
    },
    thaw: async () => ours && frozen.delete(target),
  };
}
