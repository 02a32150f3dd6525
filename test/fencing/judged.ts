import type { Instance } from '../../src/ebs/types.ts';
import { decide } from '../../src/fencing/decide.ts';
import type { Decision, Rules } from '../../src/fencing/types.ts';
import {
  attachTime,
  type Change,
  healthWith,
  impaired,
  jointDisk,
  rulesWith,
  seenWith,
  shutdown,
} from './observations.ts';

/** What is decided about an observation with this change, by the policy of the name. */
export const judged = (change: Change = {}, rules: Partial<Rules> = {}): Decision =>
  decide(rulesWith(rules), seenWith(change));
export const stonith = (change: Change = {}, rules: Partial<Rules> = {}) =>
  judged(change, { policy: 'stonith', ...rules });
export const preempt = (change: Change = {}) => judged(change, { policy: 'preempt' });
export const stopped = (change: Partial<Instance> = {}): Change => ({
  owner: { state: 'stopped', stateReason: shutdown, disks: [jointDisk], ...change },
});
/** Suspected by EC2's system and instance checks. */
export const failed: Change = { health: healthWith({ system: impaired(), instance: impaired() }) };
export const failedAnd = (change: Change): Change => ({ ...failed, ...change });
export const where = `it is attached to i-a (device /dev/xvdba, since ${attachTime})`;
/** What every refusal says to do. */
export const whatToDo =
  'If i-a is well, stop the container that uses the volume there (docker-volume-ebs status there names it), or wait a ' +
  'moment if none does any more. If i-a has failed, type aws ec2 stop-instances --instance-ids i-a and then ' +
  'aws ec2 wait instance-stopped --instance-ids i-a, and try again: the volume is taken over then';
