import { expect, test } from 'vitest';
import { Faults, readFaultSpec } from '../../src/sandbox/faults.ts';
import { decodeQuery } from '../../src/sandbox/query.ts';
import { Throttle } from '../../src/sandbox/throttle.ts';
import { logNormal, timingOf } from '../../src/sandbox/timing.ts';
import { checkToken, earlierUse, parametersDigest } from '../../src/sandbox/tokens.ts';
import { checkShape } from '../../src/sandbox/volume-types.ts';

test('a bucket empties, refuses, and refills with time', () => {
  const throttle = new Throttle();
  const attach = decodeQuery('Action=AttachVolume');
  const granted = (count: number, now: number): number =>
    Array.from({ length: count }, () => throttle.take('AttachVolume', attach, now)).filter(Boolean).length;
  expect(granted(60, 0)).toBe(50);
  expect(granted(60, 1000)).toBe(5);
  expect(granted(60, 1_000_000)).toBe(50);
  expect(throttle.take('DetachVolume', attach, 1_000_000)).toBe(true);
});

test('a Describe without filter and paging has the smaller bucket', () => {
  const throttle = new Throttle();
  const granted = (query: string): number =>
    Array.from({ length: 150 }, () => throttle.take('DescribeVolumes', decodeQuery(query), 0)).filter(Boolean).length;
  expect([granted('VolumeId.1=vol-1'), granted('MaxResults=5')]).toEqual([50, 100]);
});

test('a client token gives the same resource, refuses other parameters, and stays burnt', () => {
  const same = parametersDigest(decodeQuery('Action=CreateVolume&Size=1&ClientToken=t&Version=1'));
  expect(parametersDigest(decodeQuery('ClientToken=t&Size=1&Version=2&Action=CreateVolume'))).toBe(same);
  const uses = { t: { parameters: same, resourceId: 'vol-1' } };
  expect(earlierUse(uses, 'new', same, () => true)).toBeUndefined();
  expect(earlierUse(uses, 't', same, () => true)).toBe('vol-1');
  expect(() => earlierUse(uses, 't', 'other', () => true)).toThrow('are inconsistent');
  expect(() => earlierUse(uses, 't', same, () => false)).toThrow(/deleted.*vol-1/);
  expect(() => checkToken('x'.repeat(65))).toThrow('64 ASCII');
});

const shape = (type: string, sizeGib: number, iops?: number, throughput?: number) => () =>
  checkShape({ type, sizeGib, iops, throughput });

test('volume types have their limits', () => {
  expect(shape('gp3', 1)()).toEqual({ type: 'gp3', sizeGib: 1, iops: 3000, throughput: 125 });
  expect(shape('gp3', 200, 80_000, 2000)().iops).toBe(80_000);
  expect(shape('gp2', 100)().iops).toBe(300);
  expect(shape('gp3', 65_537)).toThrow('too high; maximum is 65536');
  expect(shape('st1', 124)).toThrow('too low; minimum is 125');
  expect(shape('io2', 4)).toThrow('iops must be specified');
  expect(shape('io2', 4, 5000)).toThrow('ratio of 1250 is too high');
  expect(shape('gp2', 4, 100)).toThrow('iops is not supported');
  expect(shape('gp3', 4, 3000, 1000)).toThrow('ratio');
  expect(shape('gp9', 4)).toThrow('Unknown volume type');
});

test('timing models: none adds nothing, aws has the tail it promises', () => {
  expect(timingOf('none').draw('attach')).toBe(0);
  expect(timingOf('bench').draw('attach')).toBe(2000);
  const draws = Array.from({ length: 20_000 }, () => logNormal(1500, 4000, Math.random)).sort((a, b) => a - b);
  expect(draws[10_000]).toBeGreaterThan(1300);
  expect(draws[10_000]).toBeLessThan(1700);
  expect(draws[19_800]).toBeGreaterThan(3300);
  expect(draws[19_800]).toBeLessThan(4800);
});

test('faults strike what they match, as often as they may, and stay listed', () => {
  const faults = new Faults();
  const target = { action: 'DescribeVolumes', volumes: ['vol-1'], instances: [], caller: 'i-1' };
  const fault = faults.add({ kind: 'throttle', action: 'Describe*', volume: 'vol-1', caller: 'i-1', times: 1 });
  expect(faults.take('throttle', { ...target, volumes: ['vol-2'] })).toBeUndefined();
  expect(faults.take('throttle', { ...target, caller: undefined })).toBeUndefined();
  expect(faults.take('delay', target)).toBeUndefined();
  expect(faults.take('throttle', target)).toBe(fault);
  expect(faults.take('throttle', target)).toBeUndefined();
  expect(faults.isListed(fault)).toBe(true);
  faults.clear(fault.id);
  expect(faults.isListed(fault)).toBe(false);
});

test('a fault that is wrong is refused with what is wrong', () => {
  expect(() => readFaultSpec({ kind: 'earthquake' })).toThrow('kind is one of');
  expect(() => readFaultSpec({ kind: 'delay', ms: '5' })).toThrow('ms is a number');
  expect(() => readFaultSpec({ kind: 'delay', duration: 5 })).toThrow('no member "duration"');
  expect(() => readFaultSpec(null)).toThrow('JSON object');
});
