/** What is drawn on. */
export interface Sheet {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  /** What it is a picture of, and all that it shows, for those who cannot see it. */
  readonly title: string;
  readonly description: string;
  readonly fill?: string;
  readonly stroke?: string;
}

/** A picture: its sheet, which brings its own background so that a page may be light or dark, and what is drawn there. */
export function svg(sheet: Sheet, ...elements: readonly string[]): string {
  const { width, height, title, description, fill = '#fff', stroke = '#d0d7de' } = sheet;
  const frame = shape('rect', { x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 8, fill, stroke });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description" font-family="system-ui, sans-serif">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
${[frame, ...elements].join('\n')}
</svg>
`;
}

export type Attributes = Readonly<Record<string, string | number>>;

/** An element without content. */
export const shape = (name: string, attributes: Attributes): string => `<${name}${attributesText(attributes)}/>`;

/** A line of text; its spaces stay. */
export const text = (x: number, y: number, words: string, attributes: Attributes = {}): string =>
  `<text x="${x}" y="${y}"${attributesText({ 'font-size': 14, fill: '#1f2328', ...attributes })} xml:space="preserve">${escaped(words)}</text>`;

const attributesText = (attributes: Attributes): string =>
  Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${escaped(String(value))}"`)
    .join('');

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (words: string): string => words.replaceAll(/[&<>"]/g, (each) => entities[each] ?? each);

/** The lines of text in a picture, in its order. */
export function wordsIn(picture: string): string[] {
  const lines = [...picture.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, words = '']) => words);
  return lines.map((words) =>
    Object.entries(entities).reduceRight((all, [character, entity]) => all.replaceAll(entity, character), words),
  );
}

/** What two runs of one program say alike: without ids, digests, times and counts, and the spaces that depend on them. */
export function alike(words: string): string {
  return words
    .replaceAll(/\b(i|vol)-[0-9a-f]+/g, '$1-…')
    .replaceAll(/sha256 [0-9a-f]+/g, 'sha256 …')
    .replaceAll(/\S*\/\S*\/(nodes|root)\/\S*/g, '/…')
    .replaceAll(/[\dT:.-]*\d[\dT:.]*Z?/g, '0')
    .replaceAll(/\b0(?: ?(?:s|ms|m|h))?\b/g, '0')
    .replaceAll(/\s+/g, ' ')
    .trim();
}
