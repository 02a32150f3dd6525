import {
  EC2Client,
  RebootInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { readFaultSpec } from '../../../sandbox/faults.ts';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { callDriver } from '../../dvdi-client.ts';
import type { Chronicle } from '../chronicle.ts';
import { letterOf } from '../names.ts';

interface Request {
  readonly act: string;
  readonly instance: string;
  readonly volume: string;
  readonly fault: unknown;
}

/** Who mounts by a button. */
const holder = 'the-live-page';

/** What the page's buttons do, and how each is told. */
export class Acts {
  readonly #sandbox: Sandbox;
  readonly #chronicle: Chronicle;
  readonly #ec2: EC2Client;

  constructor(sandbox: Sandbox, chronicle: Chronicle) {
    this.#sandbox = sandbox;
    this.#chronicle = chronicle;
    const credentials = { accessKeyId: 'page', secretAccessKey: 'page' };
    this.#ec2 = new EC2Client({ endpoint: sandbox.endpoint, region: sandbox.region, credentials, maxAttempts: 1 });
  }

  /** Begins what the page asks, and waits for nothing: what becomes of it is told. @throws TypeError for what is no act */
  begin(asked: unknown): void {
    const request = readRequest(asked);
    const act = this.#acts[request.act];
    if (act === undefined) throw new TypeError(`act is one of ${Object.keys(this.#acts).join(', ')}`);
    act(request).catch((error: unknown) => {
      const what = request.volume === '' ? request.act : `${request.act} ${request.volume}`;
      this.#chronicle.tell(`${this.#name(request)}, ${what}: ${error instanceof Error ? error.message : error}`);
    });
  }

  readonly #acts: Readonly<Record<string, (request: Request) => Promise<unknown>>> = {
    'cut power': ({ instance }) => this.#ec2.send(new StopInstancesCommand({ InstanceIds: [instance], Force: true })),
    stop: ({ instance }) => this.#ec2.send(new StopInstancesCommand({ InstanceIds: [instance] })),
    hibernate: ({ instance }) => this.#ec2.send(new StopInstancesCommand({ InstanceIds: [instance], Hibernate: true })),
    start: ({ instance }) => this.#ec2.send(new StartInstancesCommand({ InstanceIds: [instance] })),
    reboot: ({ instance }) => this.#ec2.send(new RebootInstancesCommand({ InstanceIds: [instance] })),
    terminate: ({ instance }) => this.#ec2.send(new TerminateInstancesCommand({ InstanceIds: [instance] })),
    hang: async (request) => {
      await this.#sandbox.suspend(this.#node(request).instanceId);
      this.#chronicle.tell(`${this.#name(request)} hangs: nothing on it goes on, and EC2 calls it running`);
    },
    'go on': async (request) => {
      await this.#sandbox.resume(this.#node(request).instanceId);
      this.#chronicle.tell(`${this.#name(request)} goes on where it hung`);
    },
    mount: async (request) => {
      const { socket } = this.#node(request);
      this.#chronicle.tell(`${this.#name(request)} is asked to mount ${request.volume}`);
      await callDriver(socket, 'VolumeDriver.Create', { Name: request.volume, Opts: { size: '1' } });
      const { Mountpoint } = await callDriver(socket, 'VolumeDriver.Mount', { Name: request.volume, ID: holder });
      this.#chronicle.tell(`${this.#name(request)} has ${request.volume} mounted at ${Mountpoint}`);
    },
    unmount: async (request) => {
      await callDriver(this.#node(request).socket, 'VolumeDriver.Unmount', { Name: request.volume, ID: holder });
      this.#chronicle.tell(`${this.#name(request)} has unmounted ${request.volume}`);
    },
    /** Pressed once more, it is off. */
    fault: async ({ fault }) => {
      const { switchboard } = this.#sandbox;
      const spec = readFaultSpec(fault);
      const what = `fault ${spec.kind}${spec.action === undefined ? '' : ` of ${spec.action}`}`;
      const same = switchboard.list().filter(({ kind, action }) => kind === spec.kind && action === spec.action);
      for (const { id } of same) switchboard.clear(id);
      if (same.length === 0) switchboard.add(spec);
      this.#chronicle.tell(`${what} is ${same.length === 0 ? 'on' : 'off'}`);
    },
    clear: async () => {
      this.#sandbox.switchboard.clear();
      this.#chronicle.tell('no fault is on any more');
    },
  };

  #name({ instance }: Request): string {
    return letterOf(this.#sandbox.state(), instance);
  }

  /** @throws Error where it does not run */
  #node({ instance }: Request) {
    const node = this.#sandbox.nodes().find(({ instanceId }) => instanceId === instance);
    if (node === undefined) throw new Error('it does not run');
    return node;
  }
}

/** @throws TypeError for what is none */
function readRequest(value: unknown): Request {
  const { act, instance = '', volume = '', fault } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof act !== 'string' || typeof instance !== 'string' || typeof volume !== 'string') {
    throw new TypeError('act, instance and volume are strings');
  }
  return { act, instance, volume, fault };
}
