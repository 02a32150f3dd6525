/**
 * The daemon as tests of crashes run it: every step it takes in the world is traced, and it kills itself at the one it
 * is ordered to. Steps are the calls of Ec2, Host and Journal, the programs it starts and the directory entries it
 * changes; what is new there is a step by itself.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { ChildProcess } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { flushCompileCache, syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';
import type { World } from '../../src/volumes/state/local.ts';
import { filesOf, type Orders } from './crash-orders.ts';

// The daemon starts its workers by the program that it runs itself.
if (process.argv[2] === 'disk-worker') await (await import('../../src/host/disk-work.ts')).serveDiskWork();

// Before anything of the project is loaded: its modules then get the traced functions too.
const root = process.env['DVE_ROOT'] ?? '';
const files = filesOf(root);
/** The arguments of the call that a program or a directory change belongs to. */
const callInHand = new AsyncLocalStorage<string>();
const methods = new Set<string>();
const learnt = new Set<string>();
let orderedBy = '';
let passes = 0;

function readOrders(): Orders | undefined {
  let text: string;
  try {
    text = readFileSync(files.orders, 'utf8');
  } catch {
    return undefined;
  }
  if (text !== orderedBy) {
    orderedBy = text;
    passes = 0;
    learnt.clear();
  }
  return JSON.parse(text);
}

/** Steps of other volumes are none of the sweep's business; steps that name no volume are. */
function concerns(orders: Orders, text: string): boolean {
  if ([...orders.about, ...learnt].some((word) => text.includes(word))) return true;
  return !/vol-|\/volumes\//.test(text);
}

/** Passes a point: writes it down, and dies where ordered. */
function pass(point: string, text: string, child?: ChildProcess): void {
  const orders = readOrders();
  if (orders === undefined || !concerns(orders, text)) return;
  appendFileSync(files.trace, `${point}\n`);
  if (point !== orders.at?.point || ++passes !== orders.at.nth) return;
  if (child !== undefined && orders.at.childLivesMs !== undefined) {
    if (orders.at.childLivesMs > 0)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, orders.at.childLivesMs);
    child.kill('SIGKILL');
  }
  process.kill(process.pid, 'SIGKILL');
}

/** The id that EC2 gives a new volume is known from here on. */
function learn(text: string, result: unknown): void {
  const orders = readOrders();
  if (orders === undefined || !orders.about.some((word) => text.includes(word))) return;
  for (const id of JSON.stringify(result)?.match(/vol-[0-9a-f]+/g) ?? []) learnt.add(id);
}

function traced<T extends object>(room: string, target: T): T {
  for (const [name, member] of Object.entries(target)) {
    if (typeof member === 'function') methods.add(`${room}.${name}`);
  }
  writeFileSync(files.methods, [...methods].join('\n'));
  return new Proxy(target, {
    get(of, key) {
      const member: unknown = Reflect.get(of, key);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        const step = `${room}.${String(key)}`;
        const text = JSON.stringify(args);
        pass(`${step}:before`, text);
        const result: unknown = callInHand.run(text, () => member.apply(of, args));
        if (!(result instanceof Promise)) {
          pass(`${step}:after`, text);
          return result;
        }
        const after = () => pass(`${step}:after`, text);
        return result.then(
          (value) => {
            if (step === 'ec2.createVolume' || step === 'ec2.findVolumes') learn(text, value);
            after();
            return value;
          },
          (error) => {
            after();
            throw error;
          },
        );
      };
    },
  });
}

function traceChildren(): void {
  const prototype = ChildProcess.prototype as unknown as { spawn(options: { file: string; args: string[] }): number };
  const { spawn } = prototype;
  prototype.spawn = function (this: ChildProcess, options) {
    const result = spawn.call(this, options);
    // A program of the driver's is started by a shell that becomes it (src/host/run.ts): sh -c script program ….
    const program = options.file === '/bin/sh' ? (options.args[3] ?? 'sh') : options.file;
    pass(`exec.${basename(program)}:started`, callInHand.getStore() ?? '', this);
    return result;
  };
}

/** The functions that change a directory, for paths below the root. */
function traceDirectories(): void {
  const changing = ['mkdir', 'rmdir', 'rename', 'rm', 'unlink', 'writeFile', 'symlink', 'link'] as const;
  const functions = fs as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  for (const name of changing) {
    const original = functions[name];
    if (original === undefined) throw new Error(`node:fs/promises has no ${name}`);
    functions[name] = async (...args) => {
      if (!String(args[0]).startsWith(`${root}/`)) return original(...args);
      const text = `${callInHand.getStore() ?? ''} ${args[0]}`;
      pass(`fs.${name}:before`, text);
      try {
        return await original(...args);
      } finally {
        pass(`fs.${name}:after`, text);
      }
    };
  }
  syncBuiltinESMExports();
}

traceChildren();
traceDirectories();

const { loadSettings } = await import('../../src/config.ts');
const { runDaemon } = await import('../../src/daemon.ts');
const { openEc2 } = await import('../../src/ebs/ec2.ts');
const { openAudit } = await import('../../src/fencing/audit.ts');
const { openHost } = await import('../../src/host/host.ts');
const { readIdentity } = await import('../../src/host/identity.ts');
const { createLogger } = await import('../../src/log.ts');
const { openDriver } = await import('../../src/volumes/driver.ts');
const { openJournal } = await import('../../src/volumes/state/journal.ts');
// A daemon that is killed never writes the cache that makes the next one start sooner.
flushCompileCache();

const world: World = {
  openHost: async (settings) => traced('host', await openHost(settings)),
  openJournal: async (directory) => traced('journal', await openJournal(directory)),
  openAudit,
  openEc2: (cluster, region, log) => traced('ec2', openEc2({ cluster, region, log })),
  readIdentity: (settings) => readIdentity(settings, process.env),
  // The EC2 of these tests shows at once what was done to it.
  visibleMs: 1000,
  // A volume that is to grow is looked at every quarter of a second.
  haste: 20,
};
const settings = loadSettings([], process.env);
await runDaemon(settings, { log: createLogger(settings), openDriver: (given, log) => openDriver(given, log, world) });
