/** As "vol-1" or "vol-1 and 3 more". */
export const namesOf = ([first = 'nothing', ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`;
