import type { ClusterVolume, ClusterVolumes } from '../../volumes/types.ts';
import { type Column, tableLines, wrapped } from '../table.ts';

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
export function clusterLines({ cluster, volumes, paused: why }: ClusterVolumes, width: number | undefined) {
  const paused = why === undefined ? [] : [`FENCING PAUSED in the whole cluster: ${why}`];
  const none = volumes.length === 0 ? [`No volume to show in the cluster ${cluster}.`] : [];
  const rows = volumes.map((volume) => ({ cells: cellsOf(volume), below: remarks(volume) }));
  return [
    ...[...paused, ...none].flatMap((text) => wrapped(text, width)),
    ...(rows.length === 0 ? [] : tableLines(columns, rows, width)),
  ];
}

/** What operators fear: names that several EBS volumes carry, a sentence each. */
export function duplicateTexts({ volumes }: ClusterVolumes): string[] {
  const byName = Map.groupBy(
    volumes.filter(({ duplicate }) => duplicate),
    ({ name }) => name,
  );
  return [...byName].map(([name, several]) => {
    const ids = several.map(({ volumeId, zone, state }) => `${volumeId} (${zone}, ${state})`).join(', ');
    return (
      `DUPLICATE NAME: ${several.length} EBS volumes are called ${name}: ${ids}. Nobody can mount, create or remove it until ` +
      'one is left. Find out which has the data you want (what is known of each stands below it), and take the name from the ' +
      `other, which stays as it is: aws ec2 create-tags --resources ID --tags Key=docker-volume-ebs:retained,Value=${name} ` +
      '&& aws ec2 delete-tags --resources ID --tags Key=docker-volume-ebs:name'
    );
  });
}

function cellsOf({ name, volumeId, zone, type, sizeGiB, state, owner }: ClusterVolume): string[] {
  return [name ?? '-', volumeId, zone, type, `${sizeGiB} GiB`, state, ownerOf(owner), owner?.since ?? '-'];
}

function ownerOf(owner: ClusterVolume['owner']): string {
  if (owner === undefined) return '-';
  if (owner.instanceId === undefined) return 'a resource that AWS manages';
  const known = [owner.instanceName, owner.address, owner.instanceState ?? 'state not known'];
  return `${owner.instanceId} (${known.filter((each) => each !== undefined).join(', ')})`;
}

function remarks({ name, retained, duplicate, notes }: ClusterVolume): string[] {
  return [
    ...(duplicate ? ['DUPLICATE NAME'] : []),
    ...(retained ? ['it was removed, and kept: no name leads to it'] : []),
    ...(name === undefined && !retained ? ['it has lost its docker-volume-ebs:name tag: no name leads to it'] : []),
    ...notes,
  ];
}
