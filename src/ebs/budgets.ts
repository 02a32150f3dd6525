import type { Allowance } from './bucket.ts';

/**
 * EC2's token buckets per account, Region and action (AWS "Request throttling for the Amazon EC2 API"). Describe calls
 * here have filters and MaxResults, unless listed.
 */
const describing: Allowance = { burst: 100, perSecond: 20 };
const changing: Allowance = { burst: 50, perSecond: 5 };
const special: Readonly<Record<string, Allowance>> = {
  // Asked by ids, they are neither filtered nor paged.
  DescribeInstanceStatus: { burst: 50, perSecond: 10 },
  DescribeVolumeStatus: { burst: 50, perSecond: 10 },
  CreateVolume: { burst: 100, perSecond: 5 },
  DeleteVolume: { burst: 100, perSecond: 5 },
  CreateSnapshot: { burst: 100, perSecond: 5 },
  DeleteSnapshot: { burst: 100, perSecond: 5 },
  CreateTags: { burst: 100, perSecond: 10 },
  DeleteTags: { burst: 100, perSecond: 10 },
};

/**
 * What the account may use of an EC2 API action, as "AttachVolume", and one daemon with it: what others use up shows as
 * refusals, which slow this one down.
 */
export const allowanceOf = (action: string): Allowance =>
  special[action] ?? (action.startsWith('Describe') ? describing : changing);
