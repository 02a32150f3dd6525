/** What all parts of the model work on, and EC2 itself: its truth, and what its reads may answer. */
import type { FencePolicy } from '../../src/fencing/types.ts';
import { type Catalogue, createCatalogue } from './catalogue.ts';
import type { Eye } from './eye.ts';
import { begun, publish } from './reads.ts';
import type { Emit } from './search.ts';
import { type Left, maxDetaches, mounted, type NodeName, type Power, type State } from './state.ts';
import type { Step } from './taker.ts';

/**
 * I1: two nodes that can write. I2: a detach takes effect under a mount of a guest that runs; "I2 asleep": of one that is
 * hibernated and will wake with it. I3: a detach hits another attachment than the one it was meant for.
 */
export const invariants = ['I1', 'I2', 'I2 asleep', 'I3'] as const;
export type Invariant = (typeof invariants)[number];

/** The rules that nodes follow, and how much of a call EC2 compares: what the weakened variants change. */
export interface Protocol {
  readonly policy: FencePolicy;
  /** What B and C do, step by step. */
  readonly plans: readonly [readonly Step[], readonly Step[]];
  /** What takers make of what they read before they decide. */
  readonly eye: Eye;
  /**
   * An attachment from before A's boot: detached and never mounted, asked for or made (C1), or only if it was made; mounted
   * as if nothing had been; or mounted once A has waited and then read no intent about it, or only has not read one (`hasty`).
   */
  readonly atBoot: 'detach' | 'detach what is there' | 'reuse' | 'quarantine' | 'hasty';
  /** A writes the clean tag before it detaches; a tag that is `withdrawable` is taken back and the volume mounted again. */
  readonly clean: 'never' | 'one-way' | 'withdrawable';
  /** What a DetachVolume call says beyond the volume. */
  readonly detachNames: 'instance and device' | 'instance' | 'nothing';
  /** How many names A has to choose from. */
  readonly deviceNames: number;
  /** Do instance records list attachments? */
  readonly joint: boolean;
  /** Whose tag holds an intent: each fence has its own, or each node, or all share one; or it ends by itself. */
  readonly intents: 'a key per fence' | 'a key per node' | 'one key' | 'expiring';
  /** Does a taker that crashes after it announced itself come back, once? */
  readonly comesBack: boolean;
  /** EC2 attaches what is attached (it never does): the search must notice. */
  readonly attachesTwice: boolean;
}

/** How much happens at most. */
export interface Bounds extends Left {
  /** Does A shut down step by step? It may also stop at once. */
  readonly graceful: boolean;
  /** May two attachments be made in one second? */
  readonly sameSecond: boolean;
  /** How many versions of a record reads may answer: 3, or 4. */
  readonly depth: number;
  /** May A's AttachVolume take effect late? */
  readonly lateAttach: boolean;
}

export interface World {
  readonly protocol: Protocol;
  readonly bounds: Bounds;
  readonly catalogue: Catalogue;
}

export function createWorld(protocol: Protocol, bounds: Bounds): World {
  return { protocol, bounds, catalogue: createCatalogue(protocol.deviceNames) };
}

/** A has the volume mounted under its first attachment; everybody sees that. */
export function initialState({ protocol, bounds, catalogue }: World): State {
  const lease = catalogue.leaseNumber('A', 0, 0, 1);
  return {
    holder: { power: 'running', phase: 'mounted', lease },
    takers: [
      { at: 0, lease: 0, crashed: false },
      { at: 0, lease: 0, crashed: false },
    ],
    lease,
    volume: begun(lease),
    instance: begun(catalogue.recordNumber('running', protocol.joint ? lease : 0, 0)),
    tags: begun(catalogue.tagNumber(0, [])),
    detaches: [],
    attach: 0,
    stop: false,
    leases: 1,
    second: 1,
    launched: 0,
    left: {
      boots: bounds.boots,
      releases: bounds.releases,
      attaches: bounds.attaches,
      sleeps: bounds.sleeps,
    },
  };
}

/** The volume goes to another attachment, or to none. */
export function withLease(world: World, state: State, lease: number): State {
  return withRecord(world, { ...state, lease, volume: publish(state.volume, lease, world.bounds.depth) });
}

export function withPower(world: World, state: State, power: Power): State {
  return withRecord(world, { ...state, holder: { ...state.holder, power } });
}

function withRecord({ protocol, bounds, catalogue }: World, state: State): State {
  const listed = protocol.joint && state.lease !== 0 && catalogue.lease(state.lease).owner === 'A';
  const record = catalogue.recordNumber(state.holder.power, listed ? state.lease : 0, state.launched);
  return { ...state, instance: publish(state.instance, record, bounds.depth) };
}

export function withTags(world: World, state: State, clean: number, intents: readonly number[]): State {
  const { bounds, catalogue } = world;
  return { ...state, tags: publish(state.tags, catalogue.tagNumber(clean, intents), bounds.depth) };
}

/** The number of an attachment made now; A's own are counted by what is left of them. */
export function nextLease({ bounds, catalogue }: World, state: State, owner: NodeName, second: number): number {
  const nth = owner === 'A' ? 1 + bounds.attaches - state.left.attaches : 0;
  return catalogue.leaseNumber(owner, nth, state.leases, second);
}

/** The state in which one more DetachVolume call is on its way; undefined when there are too many. */
export function sendDetach(state: State, lease: number): State | undefined {
  if (state.detaches.length >= maxDetaches) return undefined;
  return { ...state, detaches: [...state.detaches, lease].sort((a, b) => a - b) };
}

/** Is A's guest executing? */
export const isAwake = ({ holder }: State): boolean => holder.power === 'running' || holder.power === 'stopping';

/** What is broken by taking this attachment away, or by giving the volume to somebody else besides. */
export function underMount({ catalogue }: World, state: State, lease: number): 'running' | 'asleep' | undefined {
  const { holder, takers } = state;
  if (lease === 0) return undefined;
  if (catalogue.lease(lease).owner !== 'A') {
    return takers.some((taker) => taker.at === mounted && taker.lease === lease) ? 'running' : undefined;
  }
  if (holder.phase !== 'mounted' || holder.lease !== lease) return undefined;
  return isAwake(state) ? 'running' : 'asleep';
}

/** Calls that arrive: each some time after it was sent, in any order. */
export function ec2Steps(world: World, state: State, emit: Emit<State>): void {
  state.detaches.forEach((meant, index) => {
    if (meant === state.detaches[index - 1]) return;
    detachArrives(world, { ...state, detaches: state.detaches.filter((_, each) => each !== index) }, meant, emit);
  });
  if (state.attach !== 0) attachArrives(world, state, emit);
  if (state.stop) stopArrives(world, state, emit);
}

function detachArrives(world: World, state: State, meant: number, emit: Emit<State>): void {
  const hit = state.lease;
  if (hit === 0 || !fits(world, meant, hit)) {
    emit(state, 'EC2 refuses a detach');
    return;
  }
  const broken: Invariant[] = [];
  const user = underMount(world, state, hit);
  if (user !== undefined) broken.push(user === 'running' ? 'I2' : 'I2 asleep');
  if (hit !== meant) broken.push('I3');
  emit(withLease(world, state, 0), `EC2 detaches the volume from ${world.catalogue.lease(hit).owner}`, broken);
}

/** Does a DetachVolume meant for one attachment fit the one there is? */
function fits({ protocol, catalogue }: World, meant: number, hit: number): boolean {
  if (protocol.detachNames === 'nothing') return true;
  const { attachment: wanted } = catalogue.lease(meant);
  const { attachment: found } = catalogue.lease(hit);
  if (wanted.instanceId !== found.instanceId) return false;
  return protocol.detachNames === 'instance' || wanted.device === found.device;
}

function attachArrives(world: World, state: State, emit: Emit<State>): void {
  const arrived: State = { ...state, attach: 0 };
  if (state.lease === 0) emit(withLease(world, arrived, state.attach), 'EC2 attaches the volume to A');
  else emit(arrived, "EC2 refuses A's attach");
}

function stopArrives(world: World, state: State, emit: Emit<State>): void {
  const arrived: State = { ...state, stop: false };
  if (state.holder.power !== 'running') emit(arrived, 'EC2 has nothing to stop');
  else emit(withPower(world, arrived, 'stopping'), 'EC2 begins to stop A');
}
