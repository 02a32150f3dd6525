/** How many MiB a unit stands for; "GB" is a GiB, as Docker and REX-Ray take it. */
const mebibytes: Readonly<Record<string, number>> = { m: 1, g: 1024, t: 1024 * 1024 };

/** EC2's API takes a signed integer of 32 bits. */
const mostGib = 2 ** 31 - 1;

/** What {@link readGib} takes, as a clause that follows "takes". */
export const gibTaken = `a whole number of GiB, 1 to ${mostGib}, also as 20GB, 10240M or 1.5T`;

/**
 * A size in GiB, 1 to 2147483647: "20", "20G", "20GB", "20 GiB", "10240M", "1.5T", in upper or lower case; without a
 * unit it is GiB. Undefined for other text, and for what is no whole number of GiB.
 */
export function readGib(text: string): number | undefined {
  const [, digits = '', unit = 'g'] = /^(\d{1,12}(?:\.\d{1,6})?)\s*(?:([mgt])(?:i?b)?)?$/i.exec(text) ?? [];
  const gib = (Number(digits) * (mebibytes[unit.toLowerCase()] ?? Number.NaN)) / 1024;
  return digits !== '' && Number.isInteger(gib) && gib >= 1 && gib <= mostGib ? gib : undefined;
}
