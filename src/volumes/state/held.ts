import type { EbsVolume } from '../../ebs/types.ts';
import type { FilesystemType } from '../../host/types.ts';
import type { Holder } from './holders.ts';

/**
 * How far a volume has come on this node. Each phase is journalled before the step it names:
 * attaching (AttachVolume may have been sent), attached (the disk is here, our mount may be), mounted (callers hold or
 * may hold it), detaching (the clean tag may be written: it is never mounted again under this attachment).
 */
export const phases = ['attaching', 'attached', 'mounted', 'detaching'] as const;
type Phase = (typeof phases)[number];

/** A volume held on this node: what the journal keeps and `get` answers from. */
export interface Held {
  readonly name: string;
  /** As EC2 last described it; its attachments are not kept up to date. */
  readonly volume: EbsVolume;
  readonly phase: Phase;
  /** When the phase began, RFC 3339; absent in records of earlier versions. */
  readonly since?: string | undefined;
  readonly instanceId: string;
  /** The EC2 device name of our attachment. */
  readonly device: string;
  /** Undefined until AttachVolume has answered. */
  readonly attachTime: string | undefined;
  /** The boot in which the attachment was asked for; an attachment of another boot is never mounted. */
  readonly bootId: string;
  readonly filesystem: FilesystemType | undefined;
  /** The size of its filesystem when that was last known, in bytes; absent in records of earlier versions. */
  readonly filesystemBytes?: number | undefined;
  /** The directory callers use; undefined unless mounted. */
  readonly directory: string | undefined;
  readonly holders: readonly Holder[];
  /** True while its filesystem may be frozen for a snapshot: whoever finds it so thaws it first. */
  readonly freezing?: true | undefined;
  /**
   * True once this node takes the name off the volume, or has: what is left of it here ends, and tells nothing of the
   * volume that has the name.
   */
  readonly removing?: true | undefined;
  /** True once the attachment of a removed volume is being ended: its clean tag may be written, and it locks nothing any more. */
  readonly leaving?: true | undefined;
  /**
   * True while this node gives the name to a volume of the trash, under this attachment and without ever mounting it: until
   * that is done it is not the volume of the name. See names/give-name.ts.
   */
  readonly giving?: true | undefined;
  /** True while this node makes its name mean another volume, under this attachment; see names/replace.ts. */
  readonly replacing?: true | undefined;
}

/** The record of the volume that has a name; one whose name is being taken off, or given, is none. */
export function heldAs(held: ReadonlyMap<string, Held>, name: string): Held | undefined {
  const record = held.get(name);
  return record?.removing || record?.giving ? undefined : record;
}

/** The record that follows on another, with the time when its phase began: now, unless it was in it already. */
export function following(before: Held | undefined, held: Held): Held {
  const goesOn = before?.phase === held.phase;
  return { ...held, since: goesOn ? before.since : new Date().toISOString() };
}

/** Whether a record is one on the way of giving the volume back: fewer callers, no mount, or its detach. */
export function leaves(before: Held | undefined, held: Held): boolean {
  if (before === undefined) return false;
  const fewer = held.holders.length < before.holders.length;
  return held.phase === 'detaching' || fewer || (before.phase === 'mounted' && held.phase === 'attached');
}
