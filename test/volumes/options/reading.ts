import { isCode } from '../../../src/errors.ts';
import { BadValue } from '../../../src/volumes/options/bad-value.ts';
import { parseOptions } from '../../../src/volumes/options/options.ts';

/** The options of a volume "data", read. */
export const parse = (raw: Record<string, string>) => parseOptions('data', raw);

/** Why they are refused. */
export const refusal = (raw: Record<string, string>): string => {
  try {
    return `accepted as ${JSON.stringify(parse(raw))}`;
  } catch (error) {
    if (!isCode(error, 'INVALID_OPTION')) throw error;
    return error.message;
  }
};

/** What is read, or the rule that is broken. */
export function reading<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    return `${error.message}. ${error.todo ?? ''}`;
  }
}
