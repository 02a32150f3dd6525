/** Takes the names and ids of an account out of texts, so that they can be shown to strangers. Pure. */

/** What AWS gives ids of, by their form: "vol-0123456789abcdef0", also as a disk has it, "vol0123456789abcdef0". */
const resource =
  /(?<![A-Za-z0-9])(i|vol|snap|eni|subnet|vpc|sg|ami|r|key|mrk)(-?)([0-9a-f]{17}|[0-9a-f]{8}|[0-9a-f]{32})(?![A-Za-z0-9])/g;
const uuid = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;
const account = /(?<![\w.-])\d{12}(?![\w.-])/g;
const address = /(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])/g;
const hostAddress = /\bip-(?:\d{1,3}-){3}\d{1,3}\b/g;
/** What every instance has. */
const everywhere: ReadonlySet<string> = new Set(['127.0.0.1', '0.0.0.0', '169.254.169.254']);

/**
 * The texts with each id, address, account and name replaced, the same one by the same word in all of them: "vol-1", "name-2".
 * @param names words that are nobody else's business, as the names of volumes; they are replaced where they stand alone.
 */
export function anonymised(texts: readonly string[], names: ReadonlySet<string>): string[] {
  const known = new Map<string, string>();
  const counts = new Map<string, number>();
  const standIn = (kind: string, found: string): string => {
    const before = known.get(found);
    if (before !== undefined) return before;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    known.set(found, `${kind}-${count}`);
    return `${kind}-${count}`;
  };
  // The longest first: one name may be the beginning of another.
  const sorted = [...names].filter((name) => name !== '').sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  const asPattern = sorted.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  const named = sorted.length === 0 ? undefined : new RegExp(`(?<![\\w-])(?:${asPattern})(?![\\w-])`, 'g');
  const replaced = (text: string) =>
    text
      .replace(resource, (_, kind: string, _dash, digits: string) => standIn(kind, `${kind}-${digits}`))
      .replace(uuid, (found) => standIn('uuid', found))
      .replace(account, (found) => standIn('account', found))
      .replace(hostAddress, (found) => standIn('host', found))
      .replace(address, (found) => (everywhere.has(found) ? found : standIn('address', found)));
  return texts.map((text) =>
    replaced(named === undefined ? text : text.replace(named, (found) => standIn('name', found))),
  );
}
