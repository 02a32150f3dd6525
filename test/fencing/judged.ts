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
  'Stop the containers that use it there; if i-a has failed, stop or terminate the instance and try again, ' +
  'or give your word with docker-volume-ebs fence confirm (see docker-volume-ebs fence explain)';
