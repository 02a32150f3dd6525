/** REX-Ray 0.11.4, measured against the same timing: EC2 calls and seconds of wall time of the like of one of our rows. */
export interface RexRayFigure {
  /** The row's id. */
  readonly id: string;
  readonly operation: string;
  readonly calls: number | undefined;
  readonly seconds: number | undefined;
}

export const rexRay: readonly RexRayFigure[] = [
  { id: 'create', operation: 'create', calls: 9, seconds: 1.5 },
  { id: 'mount', operation: 'mount, attach needed', calls: 12, seconds: 5.0 },
  { id: 'mount-here', operation: 'mount, already here', calls: 1, seconds: 0.2 },
  { id: 'unmount', operation: 'unmount, not the last', calls: 0, seconds: undefined },
  {
    id: 'unmount-last',
    operation: 'last unmount; theirs with the detach, which ours does afterwards',
    calls: 10,
    seconds: 3.9,
  },
  {
    id: 'takeover-clean',
    operation: 'takeover: by force; ours of an owner that left it cleanly',
    calls: 21,
    seconds: 8.5,
  },
  {
    id: 'takeover-stopped',
    operation: 'takeover: by force; ours with proof that the owner is stopped',
    calls: 21,
    seconds: 8.5,
  },
  { id: 'get-held', operation: 'get of a held volume', calls: 1, seconds: 0.2 },
  { id: 'get', operation: 'get of another volume', calls: 1, seconds: 0.2 },
  { id: 'list-100', operation: 'list', calls: 1, seconds: 0.2 },
  { id: 'together-2', operation: 'two volumes at once', calls: undefined, seconds: 9.5 },
];
