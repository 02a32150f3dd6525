import { DriverError } from '../../errors.ts';
import { findAnySnapshot } from '../copies/find.ts';
import type { VolumeSnapshot } from '../copies/snapshot-tags.ts';
import type { Verification, Verifications, VerifyOptions } from '../copies/verifications.ts';
import { scratchSpec } from '../copies/verify.ts';
import { monthlyCost } from '../options/prices.ts';
import type { Node } from '../state/node.ts';

/** What a verification would take, and cost. */
export interface VerificationPlan {
  readonly snapshotId: string;
  readonly volume: string | undefined;
  readonly state: VolumeSnapshot['state'];
  /** Of the scratch volume. */
  readonly sizeGiB: number;
  readonly type: string;
  readonly zone: string;
  /** While the scratch volume is there, roughly; see options/prices.ts. */
  readonly dollarsPerHour: number | undefined;
  /** What the snapshot holds in all, GiB; undefined where EC2 does not say. */
  readonly heldGiB: number | undefined;
  /** How long EC2 takes to fetch all of it at the rate that was asked for; undefined without one. */
  readonly initializationSeconds: number | undefined;
  /** Why this node's role may not make the scratch volume, in EC2's words; undefined where it may. */
  readonly denied: string | undefined;
}

/** Verifications as an operator asks for them. A snapshot is meant by its id, or as VOLUME/NAME. */
export interface VerifyOperator {
  /** Nothing is done. */
  plan(which: string, options: VerifyOptions): Promise<VerificationPlan>;
  /** Begins one, or finds that it is under way. */
  begin(which: string, options: VerifyOptions): Promise<Verification>;
  /** How far it is. INVALID_REQUEST where this daemon has made none. */
  look(snapshotId: string): Promise<Verification>;
  /** The caller's command has ended. @param why it failed, as a clause. INVALID_REQUEST where none is awaited. */
  commandEnded(snapshotId: string, why: string | undefined): Promise<void>;
}

const hoursPerMonth = 730;
const gib = 2 ** 30;
const mib = 2 ** 20;

export function createVerifyOperator(node: Node, verifications: Verifications): VerifyOperator {
  return {
    async plan(which, options) {
      const snapshot = await findAnySnapshot(node, which, `verify the snapshot ${which}`);
      const spec = scratchSpec(snapshot, options.initializationRate);
      const { id, volume, state, sizeGiB, fullBytes } = snapshot;
      const monthly = monthlyCost({ ...spec, sizeGiB });
      const rate = options.initializationRate;
      return {
        snapshotId: id,
        volume,
        state,
        sizeGiB,
        type: spec.type,
        zone: node.zone,
        dollarsPerHour: monthly === undefined ? undefined : monthly / hoursPerMonth,
        heldGiB: fullBytes === undefined ? undefined : Math.round((fullBytes / gib) * 10) / 10,
        initializationSeconds: rate === undefined ? undefined : Math.ceil((fullBytes ?? sizeGiB * gib) / mib / rate),
        denied: state === 'completed' ? await node.scratch.denied(spec) : undefined,
      };
    },
    begin: async (which, options) =>
      verifications.begin(await findAnySnapshot(node, which, `verify the snapshot ${which}`), options),
    look: async (snapshotId) => {
      const found = verifications.look(snapshotId);
      if (found !== undefined) return found;
      throw unknown(snapshotId, 'tell how far its verification is', 'this daemon has made none since its start');
    },
    commandEnded: async (snapshotId, why) => {
      if (verifications.commandEnded(snapshotId, why)) return;
      throw unknown(snapshotId, 'take the end of its command', 'no command is awaited');
    },
  };
}

const unknown = (snapshotId: string, tried: string, why: string): DriverError =>
  new DriverError('INVALID_REQUEST', {
    tried: `${tried} (${snapshotId})`,
    why,
    todo: `Run docker-volume-ebs snapshot verify ${snapshotId} again`,
  });
