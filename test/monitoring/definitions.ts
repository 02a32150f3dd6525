import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** The files that people load into Prometheus and Grafana. */
const directory = join(import.meta.dirname, '../../monitoring');
export const fileOf = (name: string): string => join(directory, name);
const textOf = (name: string): string => readFileSync(fileOf(name), 'utf8');

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const alerts: readonly Alert[] = parse(textOf('alerts.yml')).groups.flatMap(
  ({ rules }: { rules: readonly Alert[] }) => rules,
);

/** Tests of the alerts, as promtool reads them. */
export const alertTests: readonly {
  readonly name: string;
  readonly promql_expr_test: readonly { readonly expr: string; readonly exp_samples: readonly unknown[] }[];
}[] = parse(textOf('alerts.test.yml')).tests;

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

export const dashboard: {
  readonly id: null;
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
} = JSON.parse(textOf('dashboard.json'));

/** The names of metrics that an expression of PromQL reads, as samples have them. */
export function namesIn(expr: string): string[] {
  const bare = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\{[^}]*\}/g, '');
  return [...new Set(bare.match(/\b(?:docker_volume_ebs|process)_\w+/g) ?? [])];
}

/** The labels that an expression asks for of a metric, groups by, or shows. */
export function labelsIn(expr: string): string[] {
  const matched = [...expr.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)];
  const grouped = [...expr.matchAll(/\b(?:by|on|group_left)\s*\(([^)]*)\)/g)];
  const listed = grouped.flatMap(([, list = '']) => list.split(',').map((each) => each.trim()));
  return [...new Set([...matched.map(([, label = '']) => label), ...listed])].filter((each) => each !== '');
}
