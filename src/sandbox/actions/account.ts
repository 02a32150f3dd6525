import { applyFilters, type FilterFields, readFilters } from '../filters.ts';
import { accountId, type TagSet } from '../model.ts';
import { texts } from '../query.ts';
import type { Action } from '../world.ts';

export const getEbsEncryptionByDefault: Action = (_call, { account }) => ({
  ebsEncryptionByDefault: account.encryptedByDefault,
});

const attributes: Readonly<Record<string, readonly string[]>> = {
  'supported-platforms': ['VPC'],
  'max-instances': ['20'],
  'default-vpc': ['none'],
};

export const describeAccountAttributes: Action = ({ query }) => {
  const names = texts(query, 'AttributeName');
  const shown = Object.entries(attributes).filter(([name]) => names.length === 0 || names.includes(name));
  return {
    accountAttributeSet: shown.map(([attributeName, values]) => ({
      attributeName,
      attributeValueSet: values.map((attributeValue) => ({ attributeValue })),
    })),
  };
};

interface Image {
  readonly id: string;
  readonly tags: TagSet;
}

const imageFilters: FilterFields<Image> = { 'image-id': ({ id }) => [id], 'owner-id': () => [accountId] };

/** The images that instances here were started from. */
export const describeImages: Action = ({ query, view }) => {
  const ids = texts(query, 'ImageId');
  const known = [...new Set(view.instances.map(({ imageId }) => imageId))].map((id) => ({ id, tags: {} }));
  const images = applyFilters(known, readFilters(query), imageFilters).filter(
    ({ id }) => ids.length === 0 || ids.includes(id),
  );
  return {
    imagesSet: images.map(({ id }) => ({
      imageId: id,
      imageState: 'available',
      imageOwnerId: accountId,
      architecture: 'x86_64',
    })),
  };
};

interface Offering {
  readonly type: string;
  readonly zone: string;
  readonly tags: TagSet;
}

const offeringFilters: FilterFields<Offering> = {
  'instance-type': ({ type }) => [type],
  location: ({ zone }) => [zone],
};

/** Every type in every zone. */
export const describeInstanceTypeOfferings: Action = ({ query }, { instanceTypes, zones }) => {
  const all = instanceTypes.flatMap(({ name }) => zones.map((zone) => ({ type: name, zone, tags: {} })));
  return {
    instanceTypeOfferingSet: applyFilters(all, readFilters(query), offeringFilters).map(({ type, zone }) => ({
      instanceType: type,
      locationType: 'availability-zone',
      location: zone,
    })),
  };
};
