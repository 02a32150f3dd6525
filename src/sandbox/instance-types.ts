/** What DescribeInstanceTypes says about attaching volumes. */
export interface InstanceTypeRules {
  readonly name: string;
  readonly maxAttachments: number;
  /** "shared": network interfaces and instance store take from the same slots. */
  readonly limitType: 'shared' | 'dedicated';
}

/** 27: a Nitro instance's 28 slots, less one for its network interface. */
const defaults: readonly InstanceTypeRules[] = [
  { name: 'm5.large', maxAttachments: 27, limitType: 'shared' },
  { name: 't3.micro', maxAttachments: 27, limitType: 'shared' },
  { name: 'm7i.large', maxAttachments: 32, limitType: 'dedicated' },
];

/** The known instance types; `limits` overrides how many volumes each may have attached. */
export function instanceTypes(limits: Readonly<Record<string, number>> = {}): InstanceTypeRules[] {
  const known = new Map(defaults.map((rules) => [rules.name, rules]));
  for (const [name, maxAttachments] of Object.entries(limits)) {
    known.set(name, { name, maxAttachments, limitType: known.get(name)?.limitType ?? 'dedicated' });
  }
  return [...known.values()];
}
