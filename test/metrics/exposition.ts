/** What a scrape says, read as Prometheus reads its text format. */
export interface Scrape {
  /** Type and help of each metric. */
  readonly metrics: ReadonlyMap<string, { readonly type: string; readonly help: string }>;
  readonly samples: readonly Sample[];
  /** The sum of the samples of this name that have these labels. */
  sum(name: string, labels?: Readonly<Record<string, string>>): number;
  /** The same; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function parseScrape(text: string): Scrape {
  const metrics = new Map<string, { type: string; help: string }>();
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const [, kind, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') metrics.set(about, { type: '', help: rest });
    else if (kind === 'TYPE') metrics.set(about, { help: metrics.get(about)?.help ?? '', type: rest });
    else if (line !== '') samples.push(parseSample(line));
  }
  const matching = (name: string, labels: Readonly<Record<string, string>>) =>
    samples.filter((each) => each.name === name && Object.entries(labels).every(([k, v]) => each.labels[k] === v));
  const sum = (name: string, labels: Readonly<Record<string, string>> = {}) =>
    matching(name, labels).reduce((total, { value }) => total + value, 0);
  return {
    metrics,
    samples,
    sum,
    value: (name, labels = {}) => (matching(name, labels).length === 0 ? undefined : sum(name, labels)),
  };
}

function parseSample(line: string): Sample {
  const [, name = '', labels = '', value = ''] = /^([\w:]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  if (name === '') throw new Error(`no sample: ${line}`);
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [key, text]);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}
