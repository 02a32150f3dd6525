/** The takers, nodes B and C: they want the volume, judge its owner, take it. Either may crash between any two steps. */
import { isSame } from '../../src/fencing/records.ts';
import type { Judge } from './eye.ts';
import { ages, dropWait, endWait, startWait, valueIn } from './reads.ts';
import type { Emit } from './search.ts';
import { gone, mounted, type State, type Taker } from './state.ts';
import {
  type Invariant,
  nextLease,
  type Protocol,
  sendDetach,
  underMount,
  type World,
  withLease,
  withTags,
} from './world.ts';

/**
 * One step of a taker's plan. It begins with reading the volume; what it read there, it judges at each reading of the
 * owner after that. Reading the volume again must show the same attachment.
 */
export type Step =
  | 'read volume'
  | 'read owner'
  | 'announce'
  | 'begin to wait'
  | 'end to wait'
  /** Then it begins again, and will find the owner stopped, or not. */
  | 'stop owner'
  /** Weakened: an accepted StopInstances counts as a stopped owner. */
  | 'stop owner and go on'
  | 'detach'
  /** The call is on its way: the volume is attached as soon as it is free. */
  | 'attach';

const names = ['B', 'C'] as const;

export function takerSteps(world: World, judge: Judge, state: State, emit: Emit<State>): void {
  for (const who of [0, 1] as const) {
    if (state.takers[who].at < gone) oneTaker(world, judge, state, who, emit);
  }
}

function oneTaker(world: World, judge: Judge, state: State, who: 0 | 1, emit: Emit<State>): void {
  const plan = world.protocol.plans[who];
  const { at, lease } = state.takers[who];
  if (at === 0 || plan[at] === 'attach') attach(world, state, who, emit);
  if (at > 0) crashes(world, state, who, emit);
  switch (plan[at]) {
    case 'read volume':
      readVolume(world, judge, state, who, emit);
      return;
    case 'read owner':
      readOwner(world, judge, state, who, emit);
      return;
    case 'announce':
      emit(announced(world, become(state, who, at + 1, lease), who, lease), `${names[who]} writes its intent`);
      return;
    case 'begin to wait':
      emit(waits(become(state, who, at + 1, lease), who, startWait), `${names[who]} begins to wait`);
      return;
    case 'end to wait':
      emit(waits(become(state, who, at + 1, lease), who, endWait), `${names[who]} has waited`);
      return;
    case 'stop owner':
      emit({ ...become(state, who, 0, 0), stop: true }, `${names[who]} has its owner stopped`);
      return;
    case 'stop owner and go on':
      emit({ ...become(state, who, at + 1, lease), stop: true }, `${names[who]} has its owner stopped`);
      return;
    case 'detach':
      sends(state, who, plan, emit);
      return;
    case 'attach':
      lost(world, state, who, emit);
  }
}

function become(state: State, who: 0 | 1, at: number, lease: number): State {
  return withTaker(state, who, { ...state.takers[who], at, lease });
}

function withTaker(state: State, who: 0 | 1, taker: Taker): State {
  return { ...state, takers: who === 0 ? [taker, state.takers[1]] : [state.takers[0], taker] };
}

/** What it announced and what it sent stay behind. */
function crashes({ protocol }: World, state: State, who: 0 | 1, emit: Emit<State>): void {
  const { at, crashed } = state.takers[who];
  const did = `${names[who]} crashes`;
  const stopped = unwaiting(state, who);
  if (!hasAnnounced(protocol.plans[who], at)) emit(become(stopped, who, 0, 0), did);
  else if (!protocol.comesBack) emit(become(stopped, who, gone, 0), `${did} for good`);
  else if (!crashed) emit(withTaker(stopped, who, { at: 0, lease: 0, crashed: true }), did);
}

const hasAnnounced = (plan: readonly Step[], at: number): boolean =>
  plan.includes('announce') && at > plan.indexOf('announce');

/** Only what is read of the owner must not be old; other readers are given no more than that either. */
function waits(state: State, who: 0 | 1, change: typeof startWait): State {
  return { ...state, instance: change(state.instance, 1 + who) };
}

const unwaiting = (state: State, who: 0 | 1): State => waits(state, who, dropWait);

/** DescribeVolumes: the attachment and the tags, each in any version. */
function readVolume(world: World, judge: Judge, state: State, who: 0 | 1, emit: Emit<State>): void {
  const { at, lease: judged } = state.takers[who];
  state.volume.forEach((version, age) => {
    const lease = valueIn(version);
    const did = `${names[who]} reads the volume${ages[age]}`;
    if (lease === 0 || (judged !== 0 && !looksLike(world, lease, judged))) {
      if (judged !== 0) giveUp(world, state, who, did, emit);
      return;
    }
    for (const tags of state.tags) {
      const proven = judge.byVolume(lease, valueIn(tags)) === 'take';
      const next = proven ? afterProof(world, who, at) : at + 1;
      emit(become(state, who, next, judged === 0 ? lease : judged), proven ? `${did}: clean` : did);
    }
  });
}

function looksLike({ catalogue }: World, lease: number, judged: number): boolean {
  return isSame(catalogue.lease(judged).attachment, catalogue.lease(lease).attachment);
}

/** DescribeInstances: the owner's record, in any version; B and C always run. */
function readOwner(world: World, judge: Judge, state: State, who: 0 | 1, emit: Emit<State>): void {
  const plan = world.protocol.plans[who];
  const { at, lease } = state.takers[who];
  if (world.catalogue.lease(lease).owner !== 'A') {
    giveUp(world, state, who, `${names[who]} reads its owner, which runs`, emit);
    return;
  }
  const later = plan.lastIndexOf('end to wait', at) > plan.lastIndexOf('read volume', at);
  state.instance.forEach((version, age) => {
    const verdict = judge.byOwner(lease, valueIn(version), later);
    const did = `${names[who]} reads A's record${ages[age]}: ${verdict}`;
    if (verdict === 'not now' || (verdict === 'stop' && !mayStop(plan))) giveUp(world, state, who, did, emit);
    else if (verdict === 'take' && stops(plan)) emit(become(state, who, plan.indexOf('detach'), lease), did);
    else emit(become(state, who, at + 1, lease), did);
  });
}

/** Does it look for proof again once it has had the owner stopped? */
const stops = (plan: readonly Step[]): boolean => plan.includes('stop owner');
const mayStop = (plan: readonly Step[]): boolean => stops(plan) || plan.includes('stop owner and go on');

/** Where a plan goes on once the clean tag was read: the owner need not be asked. */
function afterProof({ protocol }: World, who: 0 | 1, at: number): number {
  const plan = protocol.plans[who];
  if (stops(plan)) return plan.indexOf('detach');
  return plan.findIndex(
    (step, index) => index > at && (step === 'read volume' || step === 'announce' || step === 'detach'),
  );
}

/** Begins again; what it announced in this life is taken back, for nothing was sent. */
function giveUp(world: World, state: State, who: 0 | 1, did: string, emit: Emit<State>): void {
  const { at } = state.takers[who];
  const begun = unwaiting(become(state, who, 0, 0), who);
  emit(hasAnnounced(world.protocol.plans[who], at) ? announced(world, begun, who, 0) : begun, did);
}

/** Sets a taker's intent, or takes it back (0). */
function announced(world: World, state: State, who: 0 | 1, lease: number): State {
  const { protocol, catalogue } = world;
  if (!protocol.plans[who].includes('announce')) return state;
  const { clean, intents } = catalogue.tagSet(valueIn(state.tags[0]!));
  const tag = intentTagOf(protocol.intents, state.takers[who], who);
  return withTags(
    world,
    state,
    clean,
    [0, 1, 2, 3].map((each) => (each === tag ? lease : (intents[each] ?? 0))),
  );
}

function intentTagOf(intents: Protocol['intents'], { crashed }: Taker, who: 0 | 1): number {
  if (intents === 'one key') return 0;
  return intents === 'a key per fence' && crashed ? 2 + who : who;
}

function sends(state: State, who: 0 | 1, plan: readonly Step[], emit: Emit<State>): void {
  const { at, lease } = state.takers[who];
  const waitsOn = plan[at + 1] === 'attach';
  const sent = sendDetach(waitsOn ? become(state, who, at + 1, lease) : become(state, who, 0, 0), lease);
  if (sent !== undefined) emit(sent, `${names[who]} sends its detach`);
}

/** AttachVolume, the compare-and-swap; the mount follows. */
function attach(world: World, state: State, who: 0 | 1, emit: Emit<State>): void {
  const { lease, leases, second } = state;
  if (lease !== 0 && !world.protocol.attachesTwice) return;
  const own = nextLease(world, state, names[who], second + 1);
  const taken = withLease(world, become({ ...state, leases: leases + 1, second: second + 1 }, who, mounted, own), own);
  const broken: Invariant[] = underMount(world, state, lease) === 'running' ? ['I1'] : [];
  emit(announced(world, unwaiting(taken, who), who, 0), `${names[who]} attaches and mounts`, broken);
}

/** Somebody else was quicker: what the intent was about is over. */
function lost(world: World, state: State, who: 0 | 1, emit: Emit<State>): void {
  const { lease } = state.takers[who];
  if (state.lease === 0 || state.lease === lease) return;
  giveUp(world, state, who, `${names[who]} finds that it was not the first`, emit);
}

/** An intent that ends by itself, while its taker is held up. */
export function expirySteps(world: World, state: State, emit: Emit<State>): void {
  if (world.protocol.intents !== 'expiring') return;
  for (const who of [0, 1] as const) {
    const { intents } = world.catalogue.tagSet(valueIn(state.tags[0]!));
    if (intents[who]) emit(announced(world, state, who, 0), `the intent of ${names[who]} expires`);
  }
}
