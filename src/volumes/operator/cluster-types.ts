/** A volume of the cluster as EC2 has it. */
export interface ClusterVolume {
  /** Undefined for one that has lost its name; of one that was removed but kept, the name that it had. */
  readonly name: string | undefined;
  /** It was removed but kept: no name leads to it any more. */
  readonly retained: boolean;
  /** Others carry its name too: verbs on that name are refused. */
  readonly duplicate: boolean;
  readonly volumeId: string;
  readonly zone: string;
  readonly type: string;
  readonly sizeGiB: number;
  /** EC2's state of its attachment, or of the volume where it has none. */
  readonly state: string;
  /** Undefined while it is free. */
  readonly owner: ClusterOwner | undefined;
  /** What its tags say about fencing, as sentence parts. */
  readonly notes: readonly string[];
}

/** Who has a volume. */
export interface ClusterOwner {
  /** Undefined for a resource that AWS manages. */
  readonly instanceId: string | undefined;
  /** Its Name tag and private address; undefined where it has none, or EC2 has not told. */
  readonly instanceName: string | undefined;
  readonly address: string | undefined;
  /** As EC2 shows the instance, or `not listed`; undefined where EC2 has not told. */
  readonly instanceState: string | undefined;
  readonly device: string;
  /** Of the attachment, RFC 3339. */
  readonly since: string;
}

/** All volumes of the cluster, in every zone of the region. */
export interface ClusterVolumes {
  readonly cluster: string;
  /** By name, those without one last. */
  readonly volumes: readonly ClusterVolume[];
  /** Why fencing is paused in the cluster; undefined when it goes on. */
  readonly paused: string | undefined;
  /** Why this is an earlier answer of EC2, with its age, as a clause; undefined for what EC2 has just said. */
  readonly stale: string | undefined;
}
