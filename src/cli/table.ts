/** Text for terminals: tables, durations, sizes. Pure. */

export interface Column {
  readonly title: string;
  /** To so many places it may be cut where the terminal is narrow; absent where it is never cut. */
  readonly least?: number;
  /** Where cutting is not enough, columns with a rank are left out, the highest first. */
  readonly rank?: number;
}

export interface Row {
  /** One for each column. */
  readonly cells: readonly string[];
  /** Sentences about it, each on a line of its own. */
  readonly below?: readonly string[];
}

const gap = '  ';
const indent = '    ';

/** A table with its titles. @param width of the terminal; undefined where nothing needs to fit. */
export function tableLines(columns: readonly Column[], rows: readonly Row[], width: number | undefined): string[] {
  const shown = [{ cells: columns.map(({ title }) => title) }, ...rows.map(safe)];
  const { places, widths } = layout(columns, shown, width);
  const line = (cells: readonly string[]) =>
    places
      .map((place, n) => padded(cut(cells[place] ?? '', widths[n] ?? 0), widths[n] ?? 0))
      .join(gap)
      .trimEnd();
  return shown.flatMap(({ cells, below = [] }: Row) => [
    line(cells),
    ...below.flatMap((text) => wrapped(text, width, indent)),
  ]);
}

const safe = ({ cells, below = [] }: Row): Row => ({ cells: cells.map(visible), below: below.map(visible) });

/** Which columns are shown, and how wide each is. */
function layout(columns: readonly Column[], rows: readonly Row[], width = Number.POSITIVE_INFINITY) {
  let places = columns.map((_, place) => place);
  for (;;) {
    const widths = places.map((place) => Math.max(...rows.map(({ cells }) => widthOf(cells[place] ?? ''))));
    const least = places.map((place, n) => Math.min(columns[place]?.least ?? Number.POSITIVE_INFINITY, widths[n] ?? 0));
    const over = () => widths.reduce((sum, each) => sum + each, gap.length * (widths.length - 1)) - width;
    const spare = (n: number) => (widths[n] ?? 0) - (least[n] ?? 0);
    while (over() > 0) {
      const widest = widths.reduce((best, _, n) => (spare(n) > spare(best) ? n : best), 0);
      if (spare(widest) === 0) break;
      widths[widest] = (widths[widest] ?? 0) - 1;
    }
    const dispensable = places.filter((place) => columns[place]?.rank !== undefined);
    const last = dispensable.sort((a, b) => (columns[a]?.rank ?? 0) - (columns[b]?.rank ?? 0)).at(-1);
    if (over() <= 0 || last === undefined) return { places, widths };
    places = places.filter((place) => place !== last);
  }
}

/** The text in so many places, its middle left out if need be: names differ at their ends. */
export function cut(text: string, places: number): string {
  if (widthOf(text) <= places) return text;
  const characters = [...text];
  const head: string[] = [];
  const tail: string[] = [];
  let left = places - 1;
  for (let fromHead = true; characters.length > 0; fromHead = !fromHead) {
    const next = (fromHead ? characters.shift() : characters.pop()) ?? '';
    left -= widthOf(next);
    if (left < 0) break;
    if (fromHead) head.push(next);
    else tail.unshift(next);
  }
  return places < 1 ? '' : `${head.join('')}…${tail.join('')}`;
}

/** The text in lines of at most `width` places, broken between words, each after the indent. */
export function wrapped(text: string, width = Number.POSITIVE_INFINITY, before = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of visible(text).split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && widthOf(before + longer) > width) {
      lines.push(before + line);
      line = word;
    } else line = longer;
  }
  return [...lines, before + line];
}

/** Without what moves the cursor, hides text or turns its direction: names may hold any character. */
export const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);

const padded = (text: string, places: number): string => text + ' '.repeat(Math.max(0, places - widthOf(text)));

/** The blocks of characters that terminals show in two places (Unicode UAX #11, "wide" and "fullwidth"). */
const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

/** In places of a terminal. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += /\p{M}/u.test(character) ? 0 : wide.test(character) ? 2 : 1;
  return width;
}

/** How long ago that was, in its two largest units: "3d 4h", "12s"; "-" for no time. */
export function ageOf(since: string | undefined, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since ?? '')) / 1000));
  if (Number.isNaN(seconds)) return '-';
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const;
  const first = units.findIndex(([, length]) => seconds >= length);
  if (first === -1) return '0s';
  let rest = seconds;
  const parts = units.slice(first, first + 2).flatMap(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest %= length;
    return count === 0 ? [] : [`${count}${unit}`];
  });
  return parts.join(' ');
}

const binaryUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

const powerOf = (bytes: number): number =>
  Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), binaryUnits.length - 1);
const inUnit = (bytes: number, power: number): string => String(Math.round((bytes / 1024 ** power) * 10) / 10);

/** Bytes as "15.6 GiB". */
export function sizeText(bytes: number): string {
  const power = powerOf(bytes);
  return `${inUnit(bytes, power)} ${binaryUnits[power]}`;
}

/** A part of a whole, both in bytes, in the unit of the whole: "1.2 / 15.6 GiB". */
export const partOf = (part: number, whole: number): string => `${inUnit(part, powerOf(whole))} / ${sizeText(whole)}`;
