import type { Account } from './account.ts';
import type { Exclusive } from './exclusive.ts';
import type { Fault, FaultKind, Faults } from './faults.ts';
import type { Iam } from './iam.ts';
import type { InstanceTypeRules } from './instance-types.ts';
import type { Machines } from './machines.ts';
import type { CloudState } from './model.ts';
import type { Moments } from './moments.ts';
import type { Query } from './query.ts';
import type { Store } from './store.ts';
import type { Tasks } from './tasks.ts';
import type { Timing } from './timing.ts';
import type { VolumeFiles } from './volume-files.ts';
import type { XmlBody } from './xml.ts';

/** What a class offers, whoever offers it: a rehearsal (rehearsal.ts) has its own. */
type Public<T> = { readonly [Member in keyof T]: T[Member] };

/** Everything an action of the sandbox's EC2 works with. */
export interface World {
  readonly region: string;
  readonly zones: readonly string[];
  readonly account: Account;
  readonly instanceTypes: readonly InstanceTypeRules[];
  readonly store: Public<Store>;
  readonly files: Public<VolumeFiles>;
  readonly machines: Machines;
  readonly timing: Timing;
  readonly tasks: Public<Tasks>;
  readonly moments: Public<Moments>;
  readonly faults: Public<Faults>;
  readonly iam: Iam;
  /** Orders work on machines and files by instance and volume id; who needs both takes the instance first. */
  readonly order: Public<Exclusive>;
}

/** One call as an action sees it. */
interface Call {
  readonly query: Query;
  /** What a Describe answers from: the state now, or an older one while stale reads are switched on. */
  readonly view: CloudState;
  /** Lets a fault set for this call strike. */
  readonly fault: (kind: FaultKind) => Fault | undefined;
}

/** Gives the members of the answer. @throws Ec2Error */
export type Action = (call: Call, world: World) => XmlBody | Promise<XmlBody>;
