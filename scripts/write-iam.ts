import { writeFileSync } from 'node:fs';
import { policies } from './iam-policies.ts';

/** Writes the files of iam/. */
for (const [name, policy] of Object.entries(policies)) {
  writeFileSync(new URL(`../iam/${name}.json`, import.meta.url), `${JSON.stringify(policy, undefined, 2)}\n`);
}
