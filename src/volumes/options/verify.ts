/** How often the newest snapshot of a volume is verified by itself: the option `verify`. */
export const verifyIntervals = ['daily', 'weekly', 'monthly'] as const;
export type VerifyEvery = (typeof verifyIntervals)[number];
