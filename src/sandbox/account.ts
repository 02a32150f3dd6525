import type { TokenScope } from './tokens.ts';

/** How often EC2 modifies a volume: four times in 24 hours, or, as before 2026, six hours after the last time. */
export const modificationRules = ['four-a-day', 'six-hours'] as const;
export type ModificationRule = (typeof modificationRules)[number];

/** What is so for the whole account and region. */
export interface Account {
  readonly tokenScope: TokenScope;
  /** EnableEbsEncryptionByDefault: every new volume is encrypted, whatever its creator asks. */
  readonly encryptedByDefault: boolean;
  readonly modificationRule: ModificationRule;
  /** How many times as fast as on EC2 the hours of that rule pass, so that a test has the time. */
  readonly haste: number;
}

export const usualAccount: Account = {
  tokenScope: 'region',
  encryptedByDefault: false,
  modificationRule: 'four-a-day',
  haste: 1,
};
