/** The holder, node A: its daemon's steps as in volumes/ (attach, mount, release, leftover, recall), and what befalls its machine. */
import { intentsOf } from '../../src/fencing/records.ts';
import { dropWait, endWait, startWait, valueIn } from './reads.ts';
import type { Emit } from './search.ts';
import type { Phase, State } from './state.ts';
import { isAwake, nextLease, sendDetach, type World, withLease, withPower, withTags } from './world.ts';

const waiter = 0;

export function holderSteps(world: World, state: State, emit: Emit<State>): void {
  machineSteps(world, state, emit);
  if (!isAwake(state)) return;
  const { holder } = state;
  if (holder.lease !== 0 && holder.phase !== 'attaching' && state.lease !== holder.lease) {
    // Its disk has gone: a mount is shut down, the record dropped.
    emit(unwaiting(become(state, 'none')), 'A notices that its disk is gone');
    return;
  }
  daemonSteps(world, state, emit);
}

const become = (state: State, phase: Phase): State => ({
  ...state,
  holder: { ...state.holder, phase, lease: phase === 'none' ? 0 : state.holder.lease },
});

const unwaiting = (state: State): State => ({ ...state, tags: dropWait(state.tags, waiter) });

function machineSteps(world: World, state: State, emit: Emit<State>): void {
  const { bounds } = world;
  const { left } = state;
  switch (state.holder.power) {
    case 'running':
      if (bounds.graceful) emit(withPower(world, state, 'stopping'), 'A begins to stop');
      emit(afterBoot(world, withPower(world, state, 'stopped')), 'A stops');
      if (left.boots > 0) emit(booted(afterBoot(world, state)), 'A reboots');
      if (left.sleeps > 0) {
        emit({ ...withPower(world, state, 'asleep'), left: { ...left, sleeps: left.sleeps - 1 } }, 'A hibernates');
      }
      return;
    case 'stopping':
      emit(afterBoot(world, withPower(world, state, 'stopped')), 'A stops');
      return;
    case 'stopped':
      if (left.boots > 0) emit(withPower(world, started(world, booted(state)), 'running'), 'A starts');
      return;
    case 'asleep':
      emit(withPower(world, started(world, state), 'running'), 'A resumes');
  }
}

const booted = (state: State): State => ({ ...state, left: { ...state.left, boots: state.left.boots - 1 } });

/** A start takes time, and EC2 says when it was; only stonith looks at that. */
function started({ protocol }: World, state: State): State {
  if (protocol.policy !== 'stonith') return state;
  return { ...state, second: state.second + 1, launched: state.second + 1 };
}

/** The guest is over, and with it every mount; what its daemon does with an attachment that it finds is decided here. */
function afterBoot({ protocol }: World, state: State): State {
  const { phase } = state.holder;
  if (phase === 'none') return state;
  if (phase === 'attaching' && protocol.atBoot === 'detach what is there') return state;
  const ending = phase === 'detaching' || phase === 'told' || phase === 'sent';
  if (ending || protocol.atBoot.startsWith('detach')) return become(state, 'detaching');
  return unwaiting(become(state, protocol.atBoot === 'reuse' ? 'attached' : 'found'));
}

function daemonSteps(world: World, state: State, emit: Emit<State>): void {
  switch (state.holder.phase) {
    case 'none':
      acquire(world, state, emit);
      return;
    case 'attaching':
      settleAttaching(state, emit);
      return;
    case 'attached':
      emit(become(state, 'mounted'), 'A mounts');
      if (state.left.releases > 0) {
        const left = { ...state.left, releases: state.left.releases - 1 };
        emit({ ...become(state, 'detaching'), left }, 'A begins to release');
      }
      return;
    case 'mounted':
      emit(become(state, 'attached'), 'A unmounts');
      return;
    case 'detaching':
    case 'told':
      detachSteps(world, state, emit);
      return;
    case 'sent':
      return;
    default:
      quarantineSteps(world, state, emit);
      return;
  }
}

function acquire(world: World, state: State, emit: Emit<State>): void {
  const { bounds } = world;
  if (state.lease !== 0 && world.catalogue.lease(state.lease).owner === 'A') {
    emit(
      { ...state, holder: { ...state.holder, phase: 'detaching', lease: state.lease } },
      'A finds a stray attachment',
    );
    return;
  }
  if (state.left.attaches === 0 || state.attach !== 0 || (state.lease !== 0 && !bounds.lateAttach)) return;
  for (const second of bounds.sameSecond ? [state.second, state.second + 1] : [state.second + 1]) {
    const lease = nextLease(world, state, 'A', second);
    const asked: State = {
      ...state,
      holder: { ...state.holder, phase: bounds.lateAttach ? 'attaching' : 'attached', lease },
      leases: state.leases + 1,
      second,
      left: { ...state.left, attaches: state.left.attaches - 1 },
    };
    const when = second === state.second ? ' in the same second' : '';
    if (bounds.lateAttach) emit({ ...asked, attach: lease }, `A asks for an attachment${when}`);
    else emit(withLease(world, asked, lease), `A attaches${when}`);
  }
}

function settleAttaching(state: State, emit: Emit<State>): void {
  if (state.lease === state.holder.lease) emit(become(state, 'attached'), 'A sees its disk');
  else emit(become(state, 'none'), state.attach === 0 ? 'A is refused the attachment' : 'A gives up its attach');
}

function detachSteps(world: World, state: State, emit: Emit<State>): void {
  const { protocol, catalogue } = world;
  const { phase, lease } = state.holder;
  const { clean, intents } = catalogue.tagSet(valueIn(state.tags[0]!));
  if (phase === 'detaching' && protocol.clean !== 'never') {
    emit(withTags(world, become(state, 'told'), lease, intents), 'A writes the clean tag');
  }
  if (phase === 'told' && protocol.clean === 'withdrawable' && clean === lease) {
    emit(withTags(world, become(state, 'attached'), 0, intents), 'A withdraws the clean tag');
  }
  // With or without the tag: a volume must not stay for want of a permission to tag.
  const sent = sendDetach(become(state, 'sent'), lease);
  if (sent !== undefined) emit(sent, 'A sends its detach');
}

/** An attachment is kept over a boot if, late enough, no taker has announced itself. */
function quarantineSteps({ protocol, catalogue }: World, state: State, emit: Emit<State>): void {
  const { tags, holder } = state;
  if (holder.phase === 'found' && protocol.atBoot !== 'hasty') {
    emit({ ...become(state, 'quarantined'), tags: startWait(tags, waiter) }, 'A begins its quarantine');
    return;
  }
  if (holder.phase === 'quarantined') {
    emit({ ...become(state, 'sure'), tags: endWait(tags, waiter) }, 'A ends its quarantine');
    return;
  }
  const { attachment } = catalogue.lease(holder.lease);
  for (const version of tags) {
    const announced = intentsOf(catalogue.tagSet(valueIn(version)).tags, attachment);
    if (announced.length === 0) emit(become(state, 'attached'), 'A reads no intent');
    else emit(become(state, 'detaching'), 'A reads an intent');
  }
}
