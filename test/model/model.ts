/** A protocol within bounds as a model that can be searched. */
import { createJudge } from './eye.ts';
import { holderSteps } from './holder.ts';
import type { Model } from './search.ts';
import { decode, encode, type State, width } from './state.ts';
import { expirySteps, takerSteps } from './taker.ts';
import { type Bounds, createWorld, ec2Steps, initialState, type Protocol } from './world.ts';

export function modelOf(protocol: Protocol, bounds: Bounds): Model<State> {
  const world = createWorld(protocol, bounds);
  const judge = createJudge(world);
  return {
    width,
    initial: initialState(world),
    encode,
    decode,
    steps: (state, emit) => {
      ec2Steps(world, state, emit);
      holderSteps(world, state, emit);
      takerSteps(world, judge, state, emit);
      expirySteps(world, state, emit);
    },
  };
}
