import { shape, svg, text } from './svg.ts';

/** What a run of the demo showed. */
interface Demo {
  readonly a: string;
  readonly b: string;
  readonly volume: string;
  readonly volumeId: string;
  readonly written: string;
  readonly read: string;
  /** Seconds until EC2 said that A is stopped, and from the mount's call to its answer on B. */
  readonly stopSeconds: string;
  readonly takeoverSeconds: string;
  /** EC2 calls of that mount. */
  readonly calls: number;
}

/** Reads what `npm run demo` printed. @throws Error naming what it did not print */
function readDemo(output: string): Demo {
  const found = (what: string, shape: RegExp): string => {
    const [, value] = shape.exec(output) ?? [];
    if (value === undefined) throw new Error(`the demo did not print ${what}`);
    return value;
  };
  const made = found('the calls of the takeover', /^mount on B: .* s {3}(.*)$/m).split(', ');
  return {
    a: found('the id of A', /^A is (i-[0-9a-f]+)/m),
    b: found('the id of B', /B is (i-[0-9a-f]+)$/m),
    volume: found('the name of the volume', /^create volume "(\w+)"/m),
    volumeId: found('the id of the volume', /^ +(vol-[0-9a-f]+)$/m),
    written: found('what was written', /^write .*\n +(sha256 \w+)$/m),
    read: found('what was read', /^read on B.*\n +(sha256 \w+)$/m),
    stopSeconds: found('when A was stopped', /^A loses power +([\d.]+) s/m),
    takeoverSeconds: found('how long the takeover took', /^mount on B: takeover.*? ([\d.]+) s/m),
    calls: made.reduce((sum, call) => sum + Number(/ ×(\d+)$/.exec(call)?.[1] ?? 1), 0),
  };
}

const [boxWidth, boxHeight] = [250, 120];
const digest = (sha: string): string => sha.slice(0, 'sha256 '.length + 12);

/** Who has the volume before and after a node dies, as a run of the demo printed it. Pure. @throws Error as above */
export function failoverPicture(output: string): string {
  const demo = readDemo(output);
  if (demo.written !== demo.read) throw new Error('the demo read other bytes than it wrote');
  const [before, after] = [30, 590];
  return svg(
    {
      width: 870,
      height: 400,
      title: 'Who has the volume before and after an instance dies',
      description: `Before: A and B run, and A has ${demo.volume} mounted. ${story(demo).join(' ')} After: A is stopped, and B has ${demo.volume} mounted, with the same bytes.`,
    },
    text(before, 36, 'Before', { 'font-weight': 'bold', 'font-size': 17 }),
    ...instance(before, 54, `A runs`, demo.a, 'running'),
    ...disk(before + 14, 110, demo),
    ...instance(before, 204, 'B runs', demo.b, 'running'),
    text(before, 356, `A writes 8 MiB: ${digest(demo.written)}…`, { 'font-size': 13 }),
    ...middle(demo),
    text(after, 36, 'After', { 'font-weight': 'bold', 'font-size': 17 }),
    ...instance(after, 54, 'A is stopped', demo.a, 'stopped'),
    ...instance(after, 204, 'B runs', demo.b, 'running'),
    ...disk(after + 14, 260, demo),
    text(after, 356, `B reads 8 MiB: ${digest(demo.read)}…`, { 'font-size': 13 }),
    text(after, 376, 'The same bytes.', { 'font-size': 13, 'font-weight': 'bold' }),
  );
}

function instance(x: number, y: number, title: string, id: string, state: 'running' | 'stopped'): string[] {
  const look =
    state === 'running'
      ? { fill: '#f6f8fa', stroke: '#1a7f37' }
      : { fill: '#eaeef2', stroke: '#818b98', 'stroke-dasharray': '6 4' };
  return [
    shape('rect', { x, y, width: boxWidth, height: boxHeight, rx: 8, 'stroke-width': 2, ...look }),
    text(x + 14, y + 24, title, { 'font-weight': 'bold' }),
    text(x + 14, y + 43, id, { 'font-size': 12, fill: '#59636e' }),
  ];
}

function disk(x: number, y: number, { volume, volumeId }: Demo): string[] {
  return [
    shape('rect', { x, y, width: boxWidth - 28, height: 52, rx: 6, fill: '#0969da' }),
    text(x + 12, y + 22, `${volume}, mounted`, { fill: '#fff', 'font-weight': 'bold' }),
    text(x + 12, y + 41, volumeId, { fill: '#fff', 'font-size': 12 }),
  ];
}

/** What happens in between, a line of the picture each. */
const story = ({ volume, stopSeconds, takeoverSeconds, calls }: Demo): string[] => [
  'A loses its power.',
  `EC2 says "stopped" after ${stopSeconds} s:`,
  'the proof that A writes no more.',
  `A container on B asks for ${volume}.`,
  'Its driver detaches it from A,',
  'attaches, checks and mounts it:',
  `${takeoverSeconds} s, ${calls} EC2 calls,`,
  'nobody had to do anything.',
];

function middle(demo: Demo): string[] {
  return [
    ...story(demo).map((line, index) =>
      text(320, 100 + index * 22 + (index > 2 ? 14 : 0), line, { 'font-size': 13.5 }),
    ),
    shape('path', { d: 'M320 300 H560', stroke: '#0969da', 'stroke-width': 3 }),
    shape('path', { d: 'M560 292 L576 300 L560 308 Z', fill: '#0969da' }),
  ];
}
