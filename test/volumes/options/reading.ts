import { isCode } from '../../../src/errors.ts';
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
