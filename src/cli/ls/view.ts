import { type Column, tableLines, wrapped } from '../table.ts';

/** What the daemon answers; see dvdi/seen.ts. */
export interface Cluster {
  readonly Cluster: string;
  readonly Volumes: readonly ClusterRow[];
  readonly Paused: string;
  readonly Stale: string;
}

export interface ClusterRow {
  readonly Name: string;
  readonly Retained: boolean;
  readonly Duplicate: boolean;
  readonly VolumeId: string;
  readonly Zone: string;
  readonly Type: string;
  readonly SizeGiB: number;
  readonly State: string;
  readonly Owner?: {
    readonly InstanceId: string;
    readonly InstanceState: string;
    readonly Device: string;
    readonly Since: string;
  };
  readonly Notes: readonly string[];
}

const columns: readonly Column[] = [
  { title: 'NAME', least: 16 },
  { title: 'VOLUME' },
  { title: 'ZONE', rank: 2 },
  { title: 'TYPE', rank: 4 },
  { title: 'SIZE', rank: 3 },
  { title: 'STATE' },
  { title: 'OWNER' },
  { title: 'SINCE', rank: 1 },
];

/** The volumes as lines for people. @param width of the terminal; undefined where nothing needs to fit. Pure. */
export function clusterLines({ Cluster: cluster, Volumes: volumes, Paused }: Cluster, width: number | undefined) {
  const paused = Paused === '' ? [] : [`FENCING PAUSED in the whole cluster: ${Paused}`];
  const none = volumes.length === 0 ? [`No such volume in the cluster ${cluster}.`] : [];
  const rows = volumes.map((volume) => ({ cells: cellsOf(volume), below: remarks(volume) }));
  return [
    ...[...paused, ...none].flatMap((text) => wrapped(text, width)),
    ...(rows.length === 0 ? [] : tableLines(columns, rows, width)),
  ];
}

/** What operators fear: names that several EBS volumes carry, a sentence each. */
export function duplicateTexts({ Volumes: volumes }: Cluster): string[] {
  const byName = Map.groupBy(
    volumes.filter(({ Duplicate }) => Duplicate),
    ({ Name }) => Name,
  );
  return [...byName].map(([name, several]) => {
    const ids = several.map(({ VolumeId, Zone, State }) => `${VolumeId} (${Zone}, ${State})`).join(', ');
    return (
      `DUPLICATE NAME: ${several.length} EBS volumes are called ${name}: ${ids}. Nobody can mount, create or remove it until ` +
      'one is left. Find out which has the data you want (what is known of each stands below it), and take the name from the ' +
      `other, which stays as it is: aws ec2 create-tags --resources ID --tags Key=docker-volume-ebs:retained,Value=${name} ` +
      '&& aws ec2 delete-tags --resources ID --tags Key=docker-volume-ebs:name'
    );
  });
}

function cellsOf({ Name, VolumeId, Zone, Type, SizeGiB, State, Owner }: ClusterRow): string[] {
  return [Name || '-', VolumeId, Zone, Type, `${SizeGiB} GiB`, State, ownerOf(Owner), Owner?.Since ?? '-'];
}

function ownerOf(owner: ClusterRow['Owner']): string {
  if (owner === undefined) return '-';
  if (owner.InstanceId === '') return 'a resource that AWS manages';
  return `${owner.InstanceId} (${owner.InstanceState || 'state not known'})`;
}

function remarks({ Name, Retained, Duplicate, Notes }: ClusterRow): string[] {
  return [
    ...(Duplicate ? ['DUPLICATE NAME'] : []),
    ...(Retained ? ['it was removed, and kept: no name leads to it'] : []),
    ...(Name === '' && !Retained ? ['it has lost its docker-volume-ebs:name tag: no name leads to it'] : []),
    ...Notes,
  ];
}
