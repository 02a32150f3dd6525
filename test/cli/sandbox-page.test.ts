import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { openInChromium } from '../../scripts/chromium.ts';
import { wordsOf } from '../../scripts/pictures/png.ts';
import { alike, wordsIn } from '../../scripts/pictures/svg.ts';
import { type Typed, terminalPicture } from '../../scripts/pictures/terminal.ts';
import { stepsOf, walkAsPrinted } from '../../scripts/pictures/walk.ts';
import { leftBehind, temporaryDirectory } from '../sandbox/support.ts';
import { requires } from '../support/requirements.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const { skip } = requires('root', 'loop', 'aws', 'curl', 'chromium');

/** Runs `npm run sandbox` as a person does, with what it has printed so far. */
async function sandboxOnTerminal() {
  const dir = await temporaryDirectory();
  const argv = [main, 'sandbox', '--no-docker', '--page', '--dir', dir];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  // Where it did not come to its own end: only it can take its disks and mounts along.
  onTestFinished(async () => {
    if (child.exitCode === null && child.kill('SIGINT')) await once(child, 'exit');
  });
  const printed = { text: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed.text += text;
  });
  const prints = (words: string | RegExp) =>
    vi.waitFor(() => expect(printed.text).toMatch(words), { timeout: 60_000, interval: 20 });
  return { dir, child, printed, prints };
}

const pictures = join(import.meta.dirname, '../../docs/pictures');
/** What a picture shows, without what every run has otherwise. */
const shownIn = async (name: string) => wordsIn(await readFile(join(pictures, name), 'utf8')).map(alike);
const asPicture = (typed: readonly Typed[]) => wordsIn(terminalPicture(typed)).map(alike);
/** Up to its story: buttons, instances, volumes. */
const upToStory = (words: string) => words.split('\nWhat happens')[0]?.split('\n').map(alike);

/** The status of a GET with these headers. */
const statusOf = (url: string, headers: Record<string, string>) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, { headers }, (response) => {
      response.destroy();
      resolve(response.statusCode);
    }).on('error', reject);
  });

it.skipIf(skip)(
  'the sandbox says what to type and what happens, and its page shows it and has the buttons',
  async () => {
    const { dir, child, printed, prints } = await sandboxOnTerminal();
    await prints(/What happens, from here on:\n/);
    expect(printed.text).toMatch(/^Starting an EC2 with 2 instances in /);

    const typed = await walkAsPrinted(printed.text);
    expect(stepsOf(typed, ' explain data').map(({ output }) => /^outcome +(.*)$/m.exec(output)?.[1])).toEqual([
      'it would be refused',
      'it would be taken over',
    ]);
    expect(typed.at(-1)?.output).toBe('hello\n');
    expect(await shownIn('status.svg'), 'npm run pictures').toEqual(asPicture(stepsOf(typed, ' status', ' ls')));
    expect(await shownIn('fence-explain.svg'), 'npm run pictures').toEqual(asPicture(stepsOf(typed, ' explain data')));
    const told = [
      'A has data',
      'A .* is stopped .*: its volumes can be taken over',
      'it is B that takes data from A: ',
      'B has data',
    ];
    for (const sentence of told) await prints(new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}${sentence}`, 'm'));

    const [, url = ''] = /in a browser of this machine: (\S+)/.exec(printed.text) ?? [];
    const [, faults = ''] = /-X DELETE (\S+)/.exec(printed.text) ?? [];
    const page = await openInChromium(url, { width: 1400, height: 900 });
    onTestFinished(() => page.close());
    const press = (label: string, within = '') =>
      page.evaluate(
        `[...document.querySelectorAll('${within} button')].find((each) => each.textContent === '${label}').click()`,
      );
    const instance = (index: number) => `.instance:nth-child(${index + 1})`;
    const shows = (index: number, state: string) =>
      page.until(`document.querySelector('${instance(index)} h3')?.textContent === '${'AB'[index]}: ${state}'`);
    const holds = (index: number) =>
      page.until(
        `document.querySelector('${instance(index)} .volume[data-mounted=true] strong')?.textContent === 'data'`,
      );
    const driver = (index: number, what: string) =>
      page.until(`document.querySelector('${instance(index)}')?.dataset.driver === '${what}'`);
    const list = (id: string) => page.evaluate<string>(`document.getElementById('${id}').textContent`);

    await shows(0, 'stopped');
    await holds(1);
    const drawn = wordsOf(await readFile(join(pictures, 'page.png')));
    expect(upToStory(drawn), 'npm run pictures').toEqual(upToStory(await page.evaluate('document.body.innerText')));
    await press('throttle all calls');
    await page.until(`document.querySelector('button[aria-pressed=true]')?.textContent === 'throttle all calls'`);
    expect(await (await fetch(faults)).json()).toMatchObject([{ kind: 'throttle' }]);
    await press('all well again');
    await page.until(`document.querySelector('button[aria-pressed=true]') === null`);

    await press('start', instance(0));
    await shows(0, 'running');
    await press('cut power', instance(1));
    await shows(1, 'stopped');
    await driver(0, 'answers');
    await press('mount', instance(0));
    await holds(0);
    expect(await list('story')).toContain('it is A that takes data from B');
    expect(await list('calls')).toMatch(
      /you StopInstances B.*A DetachVolume data B|A DetachVolume data B.*you StopInstances B/,
    );
    await press('unmount', instance(0));
    await page.until(`document.querySelector('#free .volume strong')?.textContent === 'data'`);
    await press('hang', instance(0));
    await driver(0, 'silent');
    await press('go on', instance(0));
    await driver(0, 'answers');

    // A page of another site can do nothing here, nor by a name of its own that leads to this machine; nor can it frame the page.
    for (const address of [url, faults]) {
      expect(await statusOf(address, { origin: 'http://other.example' })).toBe(403);
      expect(await statusOf(address, { host: 'other.example' })).toBe(403);
      expect(await statusOf(address, { origin: new URL(address).origin })).toBe(200);
    }
    const act = (body: string, type: string) =>
      fetch(`${url}/do`, { method: 'POST', body, headers: { 'content-type': type } });
    expect((await act('{"act":"clear"}', 'text/plain')).status).toBe(415);
    expect(await (await act('{"act":"nonsense"}', 'application/json')).json()).toEqual({
      error: expect.stringContaining('act is one of cut power, '),
    });
    expect((await fetch(url)).headers.get('content-security-policy')).toContain("frame-ancestors 'none'");

    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
    await page.until(`document.getElementById('connection').textContent === 'the sandbox has ended'`);
    expect(leftBehind(dir)).toBe('');
  },
);
