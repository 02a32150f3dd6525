import type { Settings } from '../../config.ts';
import type { CredentialSource, InspectedInstance } from '../../ebs/inspect.ts';
import type { EbsVolume, Ec2 } from '../../ebs/types.ts';
import type { Testimony } from '../../fencing/types.ts';
import type { Identity } from '../../host/identity.ts';
import type { NodeVolume } from '../../volumes/types.ts';
import type { HealthAnswer } from '../health/health.ts';
import type { Variables } from '../node-variables.ts';
import type { Machine } from './machine.ts';

/** What a scheduler of the settings says, asked about this node itself. */
export interface SchedulerFact {
  readonly source: Testimony['source'];
  /** What it calls this node; undefined where it knows no such member, or did not answer. */
  readonly ownId: string | undefined;
  readonly testimony: Testimony;
}

/**
 * What the checks judge by. Each is found out when it is first asked for, once for all checks; none changes anything in
 * EC2. They reject with a DriverError, or at the deadline with its reason.
 */
export interface Facts {
  readonly settings: Settings;
  /** Where the settings come from. */
  readonly variables: Variables;
  identity(): Promise<Identity>;
  /** A document of the metadata service below /latest; undefined where it has none. */
  metadata(path: string): Promise<string | undefined>;
  region(): Promise<string>;
  credentials(): Promise<CredentialSource>;
  /** This instance; undefined where EC2 lists none. */
  instance(): Promise<InspectedInstance | undefined>;
  /** All volumes of the cluster. */
  volumes(): Promise<readonly EbsVolume[]>;
  readonly ec2: Pick<Ec2, 'denied' | 'attachmentLimit' | 'describeInstance'>;
  /** How far EC2's clock is ahead of ours, in milliseconds; undefined while it has not answered. */
  clockAheadMs(): Promise<number | undefined>;
  schedulers(): Promise<readonly SchedulerFact[]>;
  /** What the daemon says at its socket; undefined where nobody listens. @throws Error when somebody does, and does not answer */
  daemon(): Promise<HealthAnswer | undefined>;
  /** The volumes that it has mounted; none where nobody listens. @throws Error when somebody does, and does not answer */
  mounted(): Promise<readonly Pick<NodeVolume, 'name' | 'size' | 'autoGrow'>[]>;
  readonly machine: Machine;
}
