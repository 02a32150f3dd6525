/** What DescribeInstanceTypes says about attaching volumes. */
export interface InstanceTypeRules {
  readonly name: string;
  readonly maxAttachments: number;
  /** "shared": network interfaces and instance store take from the same slots. */
  readonly limitType: 'shared' | 'dedicated';
  /** EBS cards. */
  readonly cards: number;
}

/** 27: a Nitro instance's 28 slots, less one for its network interface. */
const defaults: readonly InstanceTypeRules[] = [
  { name: 'm5.large', maxAttachments: 27, limitType: 'shared', cards: 1 },
  { name: 't3.micro', maxAttachments: 27, limitType: 'shared', cards: 1 },
  { name: 'm7i.large', maxAttachments: 32, limitType: 'dedicated', cards: 1 },
  { name: 'r8gb.48xlarge', maxAttachments: 64, limitType: 'dedicated', cards: 2 },
];

/** The known instance types; `limits` overrides how many volumes each may have attached. */
export function instanceTypes(limits: Readonly<Record<string, number>> = {}): InstanceTypeRules[] {
  const known = new Map(defaults.map((rules) => [rules.name, rules]));
  for (const [name, maxAttachments] of Object.entries(limits)) {
    const { limitType = 'dedicated', cards = 1 } = known.get(name) ?? {};
    known.set(name, { name, maxAttachments, limitType, cards });
  }
  return [...known.values()];
}
