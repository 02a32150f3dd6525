import { type ChildProcess, spawn } from 'node:child_process';
import { DriverError } from '../errors.ts';
import type { DiskAnswer, DiskRequest, DiskWork } from './disk-work.ts';
import { hostFailed } from './tools.ts';

/** Workers that may answer at any moment: a machine that mounts many volumes at once gains nothing by more. */
const mostQuick = 4;
/** A worker that takes longer than this no longer counts as one of them: its disk is slow, or stuck. */
const slowMs = 2000;
/** A worker costs 40 MB; the next steps of a mount, and the next mount of a container's volumes, come within this. */
const idleMs = 10_000;

/** Processes of our own that touch disks, so that a disk which does not answer holds one of them and nothing else. */
export interface DiskWorkers {
  /**
   * Has a worker do something with a disk. One thing at a time for each `subject`; while that does not return, what
   * else is asked about it waits, and others go on.
   * @throws what the work throws; DriverError HOST_FAILED when the worker ends or cannot be started.
   */
  work<M extends keyof DiskWork>(subject: string, method: M, ...args: Parameters<DiskWork[M]>): ReturnType<DiskWork[M]>;
  /** Starts a worker for work that is about to come, unless one is there. */
  expectWork(): void;
}

interface Task {
  readonly subject: string;
  readonly request: DiskRequest;
  readonly answered: PromiseWithResolvers<unknown>;
}

interface Worker {
  readonly child: ChildProcess;
  task: Task | undefined;
  rest: NodeJS.Timeout | undefined;
}

/** @param command runs this program as a worker. */
export function createDiskWorkers(command: readonly string[]): DiskWorkers {
  const idle = new Set<Worker>();
  const waiting: Task[] = [];
  const subjects = new Set<string>();
  let quick = 0;

  const startNext = () => {
    for (const task of [...waiting]) {
      if (quick >= mostQuick) return;
      if (subjects.has(task.subject)) continue;
      waiting.splice(waiting.indexOf(task), 1);
      start(task);
    }
  };
  const start = (task: Task) => {
    let isQuick = true;
    const noLongerQuick = () => {
      if (!isQuick) return;
      isQuick = false;
      quick -= 1;
      startNext();
    };
    quick += 1;
    subjects.add(task.subject);
    const slow = setTimeout(noLongerQuick, slowMs).unref();
    const end = () => {
      clearTimeout(slow);
      subjects.delete(task.subject);
      noLongerQuick();
      startNext();
    };
    task.answered.promise.then(end, end);
    try {
      send(task);
    } catch (error) {
      // Node throws where there is no memory for a process, and gives one without a channel where there are no files left.
      task.answered.reject(workerLost(task.subject, error instanceof Error ? error.message : String(error)));
    }
  };
  const send = (task: Task) => {
    const [worker = hire()] = idle;
    idle.delete(worker);
    clearTimeout(worker.rest);
    if (worker.child.channel === undefined) throw new Error('it could not be started');
    worker.task = task;
    worker.child.ref();
    worker.child.channel?.ref();
    worker.child.send(task.request, (error) => error !== null && lose(worker, error.message));
  };
  const rest = (worker: Worker) => {
    worker.task = undefined;
    worker.child.unref();
    worker.child.channel?.unref();
    worker.rest = setTimeout(() => dismiss(worker), idleMs).unref();
    idle.add(worker);
  };
  const dismiss = (worker: Worker) => {
    idle.delete(worker);
    if (worker.child.connected) worker.child.disconnect();
  };
  const lose = (worker: Worker, why: string) => {
    idle.delete(worker);
    clearTimeout(worker.rest);
    const { task } = worker;
    worker.task = undefined;
    task?.answered.reject(workerLost(task.subject, why));
  };
  const hire = (): Worker => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, {
      cwd: '/',
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      // A signal to our process group is none to it: it ends when its channel closes.
      detached: true,
    });
    const worker: Worker = { child, task: undefined, rest: undefined };
    child.on('message', (answer: DiskAnswer) => {
      const { task } = worker;
      rest(worker);
      if (task !== undefined) settle(task, answer);
    });
    child.on('error', (error) => lose(worker, error.message));
    child.on('exit', (code, signal) => lose(worker, `it ended with ${signal ?? `exit code ${code}`}`));
    return worker;
  };

  return {
    work(subject, method, ...args) {
      const answered = Promise.withResolvers<unknown>();
      waiting.push({ subject, request: { method, args }, answered });
      startNext();
      return answered.promise as ReturnType<DiskWork[typeof method]>;
    },
    expectWork() {
      if (idle.size > 0 || quick > 0) return;
      try {
        rest(hire());
      } catch {
        // Whoever has the work is told.
      }
    },
  };
}

function settle({ answered }: Task, answer: DiskAnswer): void {
  if ('failure' in answer) answered.reject(new DriverError(answer.failure.code, answer.failure.parts));
  else if ('message' in answer) answered.reject(new Error(answer.message));
  else answered.resolve(answer.result);
}

const workerLost = (subject: string, why: string): DriverError =>
  hostFailed(
    `look at ${subject}`,
    new Error(`the process that does so was lost: ${why}`),
    'Try again; if it happens each time, see dmesg for a lack of memory, and whether the program of this daemon was replaced',
  );
