import { monthlyCost } from '../../volumes/options/prices.ts';
import type { ModifyReport } from '../../volumes/types.ts';

type Shape = ModifyReport['after'];

/** What a change does to the bill, as a sentence; undefined where that is not known. */
export function billText(before: Shape, after: Shape): string | undefined {
  const [was, is] = [monthlyCost(before), monthlyCost(after)];
  if (was === undefined || is === undefined) return undefined;
  const dollars = (amount: number) => `$${amount.toFixed(2)}`;
  return `It costs about ${dollars(was)} a month now and ${dollars(is)} then, by the list prices of us-east-1 (docs/grow.md).`;
}
