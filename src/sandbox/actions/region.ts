import { Ec2Error } from '../ec2-error.ts';
import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import type { InstanceTypeRules } from '../instance-types.ts';
import { type TagSet, zoneIdOf } from '../model.ts';
import { texts } from '../query.ts';
import type { Action } from '../world.ts';

interface Zone {
  readonly name: string;
  readonly region: string;
  readonly tags: Record<string, string>;
}
const zoneFilters: FilterFields<Zone> = {
  'zone-id': ({ name }) => [zoneIdOf(name)],
  'zone-name': ({ name }) => [name],
  'region-name': ({ region }) => [region],
  state: () => ['available'],
};

export const describeAvailabilityZones: Action = ({ query }, world) => {
  const ids = texts(query, 'ZoneId');
  const named = world.zones.filter((name) => ids.includes(zoneIdOf(name)));
  const badId = ids.find((id) => !named.some((name) => zoneIdOf(name) === id));
  if (badId !== undefined) throw new Ec2Error('InvalidParameterValue', `Invalid availability zone-id: [${badId}]`);
  const names = [...texts(query, 'ZoneName'), ...named];
  const unknown = names.find((name) => !world.zones.includes(name));
  if (unknown !== undefined) throw new Ec2Error('InvalidParameterValue', `Invalid availability zone: [${unknown}]`);
  const zones = world.zones
    .filter((name) => names.length === 0 || names.includes(name))
    .map((name) => ({ name, region: world.region, tags: {} }));
  return {
    availabilityZoneInfo: applyFilters(zones, readFilters(query), zoneFilters).map(({ name, region }) => ({
      zoneName: name,
      zoneState: 'available',
      regionName: region,
      messageSet: [],
      zoneId: zoneIdOf(name),
      zoneType: 'availability-zone',
      optInStatus: 'opt-in-not-required',
    })),
  };
};

export const describeRegions: Action = (_call, world) => ({
  regionInfo: [
    {
      regionName: world.region,
      regionEndpoint: `ec2.${world.region}.amazonaws.com`,
      optInStatus: 'opt-in-not-required',
    },
  ],
});

const typeFilters: FilterFields<InstanceTypeRules & { readonly tags: TagSet }> = {
  'instance-type': ({ name }) => [name],
  'current-generation': () => ['true'],
  hypervisor: () => ['nitro'],
  'ebs-info.attachment-limit-type': ({ limitType }) => [limitType],
  'ebs-info.maximum-ebs-attachments': ({ maxAttachments }) => [String(maxAttachments)],
};

export const describeInstanceTypes: Action = ({ query }, world) => {
  const names = texts(query, 'InstanceType');
  const known = world.instanceTypes.filter(({ name }) => names.length === 0 || names.includes(name));
  const unknown = names.find((wanted) => !known.some(({ name }) => name === wanted));
  if (unknown !== undefined) {
    const message = `The following supplied instance types do not exist: [${unknown}]`;
    throw new Ec2Error('InvalidInstanceType', message);
  }
  const shown = applyFilters(
    known.map((rules) => ({ ...rules, tags: {} })),
    readFilters(query),
    typeFilters,
  );
  return {
    instanceTypeSet: shown.map(({ name, maxAttachments, limitType, cards }) => ({
      instanceType: name,
      currentGeneration: true,
      hypervisor: 'nitro',
      hibernationSupported: true,
      ebsInfo: {
        ebsOptimizedSupport: 'default',
        encryptionSupport: 'supported',
        nvmeSupport: 'required',
        maximumEbsAttachments: maxAttachments,
        attachmentLimitType: limitType,
        maximumEbsCards: cards,
        ebsCardSet: Array.from({ length: cards }, (_, ebsCardIndex) => ({ ebsCardIndex })),
      },
    })),
  };
};
