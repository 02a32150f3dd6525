/** `npm run pictures`: makes the pictures of README and docs from what the program shows now. Needs root, loop devices, aws and chromium. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openInChromium } from './chromium.ts';
import { failoverPicture } from './pictures/failover.ts';
import { withWords } from './pictures/png.ts';
import { terminalPicture } from './pictures/terminal.ts';
import { stepsOf, walkAsPrinted } from './pictures/walk.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = join(root, 'src/cli/main.ts');
const write = (name: string, content: string | Buffer) => writeFile(join(root, 'docs/pictures', name), content);

const { stdout: demo } = await promisify(execFile)(process.execPath, [main, 'demo']);
await write('demo.svg', terminalPicture([{ command: 'npm run -s demo', output: demo }]));
await write('failover.svg', failoverPicture(demo));

const dir = await mkdtemp('/var/tmp/docker-volume-ebs-pictures-');
const argv = [main, 'sandbox', '--no-docker', '--page', '--dir', dir];
const sandbox = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  const printed = await instructionsOf(sandbox);
  const typed = await walkAsPrinted(printed);
  await write('status.svg', terminalPicture(stepsOf(typed, ' status', ' ls')));
  await write('fence-explain.svg', terminalPicture(stepsOf(typed, ' explain data')));
  const page = await openInChromium(/of this machine: (\S+)/.exec(printed)?.[1] ?? '', { width: 1300, height: 880 });
  try {
    await page.until(`document.querySelector('.volume[data-mounted=true]') !== null`);
    const words = await page.evaluate<string>('document.body.innerText');
    await write('page.png', withWords(await page.screenshot(), words));
  } finally {
    await page.close();
  }
} finally {
  sandbox.kill('SIGINT');
  await once(sandbox, 'exit');
  await rm(dir, { recursive: true, force: true });
}

async function instructionsOf({ stdout }: ChildProcess): Promise<string> {
  let printed = '';
  for await (const text of stdout?.setEncoding('utf8').iterator({ destroyOnReturn: false }) ?? []) {
    printed += text;
    if (printed.includes('What happens')) break;
  }
  stdout?.resume();
  return printed;
}
