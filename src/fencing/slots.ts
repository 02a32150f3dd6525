/** So many at once, and no more. */
export interface Slots {
  /** Takes a place; call the result to give it back. Undefined when all are taken. */
  take(): (() => void) | undefined;
  /** Resolves when a place is given back. */
  freed(): Promise<void>;
}

export function createSlots(most: number): Slots {
  let taken = 0;
  let next = Promise.withResolvers<void>();
  return {
    take() {
      if (taken >= most) return undefined;
      taken += 1;
      let back = false;
      return () => {
        if (back) return;
        back = true;
        taken -= 1;
        next.resolve();
        next = Promise.withResolvers();
      };
    },
    freed: () => next.promise,
  };
}
