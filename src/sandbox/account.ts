import type { TokenScope } from './tokens.ts';

/** What is so for the whole account and region. */
export interface Account {
  readonly tokenScope: TokenScope;
  /** EnableEbsEncryptionByDefault: every new volume is encrypted, whatever its creator asks. */
  readonly encryptedByDefault: boolean;
}

export const usualAccount: Account = { tokenScope: 'region', encryptedByDefault: false };
