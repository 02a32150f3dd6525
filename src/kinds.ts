/** How the texts of settings are read. */
import { gibTaken, readGib } from './sizes.ts';

/** How a setting's text is read: each kind checks its text and says what it takes. */
export type Kind<T> = {
  readonly takes: string;
  /** All that it takes, where these are few. */
  readonly choices?: readonly string[];
  readonly read: (text: string) => T | undefined;
};

export const text: Kind<string> = { takes: 'text', read: (value) => value };
export const absolutePath: Kind<string> = {
  takes: 'an absolute path',
  read: (value) => (value.startsWith('/') && !value.includes('\0') ? value : undefined),
};
const truths = new Map([
  ['true', true],
  ['false', false],
]);
export const flag: Kind<boolean> = {
  takes: 'true or false',
  choices: [...truths.keys()],
  read: (value) => truths.get(value.toLowerCase()),
};
export const oneOf = <const T extends string>(...values: readonly T[]): Kind<T> => ({
  takes: values.join(', '),
  choices: values,
  read: (value) => values.find((known) => known === value),
});
export const someOf = <const T extends string>(...values: readonly T[]): Kind<readonly T[]> => ({
  takes: `${values.join(', ')}, several with commas`,
  read: (value) => {
    const words = value.split(',').filter((word) => word !== '');
    const known = words.flatMap((word) => values.filter((each) => each === word));
    return known.length === words.length ? known : undefined;
  },
});
export const whole = (min: number, max: number, unit: string): Kind<number> => ({
  takes: `a whole number of ${unit}, ${min} to ${max}`,
  read: (value) => {
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  },
});
export const gibibytes: Kind<number> = { takes: gibTaken, read: readGib };
export const seconds = (min: number, max: number): Kind<number> => ({
  takes: `seconds, ${min} to ${max}`,
  read: (value) => {
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  },
});
/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}
/** HOST:PORT, an IPv6 address in brackets; no host is loopback, never every address. */
export const listenAddress: Kind<ListenAddress | 'off'> = {
  takes: 'PORT or HOST:PORT; port 0 is a free one, which the log tells',
  read: (value) => {
    if (value === '') return 'off';
    const [, v6, name, digits] = /^(?:(?:\[([\da-f:.]+)\]|([\w.-]+)):)?(\d{1,5})$/i.exec(value) ?? [];
    const port = Number(digits ?? Number.NaN);
    return port <= 65_535 ? { host: v6 ?? name ?? '127.0.0.1', port } : undefined;
  },
};
const unitSeconds: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };
/** Seconds, written as 90m, 24h or 7d; undefined for any other text. */
export function readDuration(value: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,6})([mhd])$/.exec(value) ?? [];
  const each = unitSeconds[unit];
  return digits === undefined || each === undefined ? undefined : Number(digits) * each;
}
export const duration = (most: string): Kind<number> => ({
  takes: `a time as 90m, 24h or 7d, at most ${most}`,
  read: (value) => {
    const number = readDuration(value);
    return number === undefined || number > (readDuration(most) ?? 0) ? undefined : number;
  },
});
