import { tagKeys } from '../ebs/tags.ts';
import type { Tags } from '../ebs/types.ts';
import { type FencePolicy, fencePolicies } from './types.ts';

/** The stricter of two policies. */
export function stricter(a: FencePolicy, b: FencePolicy): FencePolicy {
  return fencePolicies.indexOf(a) <= fencePolicies.indexOf(b) ? a : b;
}

/**
 * The policy that holds for a volume on this node: its own where that is stricter than the daemon's, never a laxer one.
 * A tag that names no policy we know counts as `never`: it was meant to restrict something (a slip of the pen, a newer
 * daemon's policy), and to guess wrong in that direction costs a wait, in the other a disk under a live owner.
 */
export function effectivePolicy(daemon: FencePolicy, volumeTags: Tags): FencePolicy {
  const text = volumeTags[tagKeys.fencePolicy];
  return text === undefined ? daemon : stricter(daemon, fencePolicies.find((policy) => policy === text) ?? 'never');
}

/** What a daemon says at its start about the risk of its policy; undefined when there is none to speak of. */
export function policyWarning(policy: FencePolicy): string | undefined {
  if (policy !== 'preempt') return undefined;
  return (
    'the fence policy is preempt: any mount pulls the disk from under an owner that may be alive and writing. ' +
    'What it has not written yet is lost, and its containers get I/O errors'
  );
}
