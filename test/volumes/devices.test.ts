import { describe, expect, it } from 'vitest';
import { deviceNames } from '../../src/ebs/device-names.ts';
import { createDeviceNames } from '../../src/volumes/devices.ts';

const none: ReadonlySet<string> = new Set();

describe('device names', () => {
  it('are never given twice at a time, until all are', () => {
    const devices = createDeviceNames([]);
    const given = deviceNames.map(() => devices.reserve(none));
    expect(new Set(given)).toEqual(new Set(deviceNames));
    expect(devices.reserve(none)).toBeUndefined();
    devices.free('/dev/xvdbm');
    expect(devices.reserve(none)).toBe('/dev/xvdbm');
  });

  it('rest after use: a freed one comes back only when all others were used', () => {
    const devices = createDeviceNames([]);
    const first = devices.reserve(none) ?? '';
    devices.free(first);
    for (let index = 1; index < deviceNames.length; index++) {
      const name = devices.reserve(none) ?? '';
      expect(name).not.toBe(first);
      devices.free(name);
    }
    expect(devices.reserve(none)).toBe(first);
  });

  it('rest over a restart', () => {
    const before = createDeviceNames([]);
    const used = [before.reserve(none), before.reserve(none)];
    expect(before.recent()).toEqual(used);
    const after = createDeviceNames(before.recent());
    expect(used).not.toContain(after.reserve(none));
  });

  it('are not given while the kernel or somebody else has them', () => {
    const devices = createDeviceNames([]);
    devices.take(deviceNames.slice(1));
    expect(devices.reserve(new Set([deviceNames[0] ?? '']))).toBeUndefined();
    devices.free(deviceNames[5] ?? '');
    expect(devices.reserve(none)).toBe(deviceNames[0]);
    expect(devices.reserve(none)).toBe(deviceNames[5]);
  });

  it('keep a history that is bounded, each name once', () => {
    const devices = createDeviceNames(Array.from({ length: 300 }, (_, index) => `/dev/old${index}`));
    for (let round = 0; round < 3; round++) {
      for (const name of deviceNames.slice(0, 10)) {
        devices.take(deviceNames.filter((other) => other !== name));
        devices.free(name);
        expect(devices.reserve(none)).toBe(name);
      }
    }
    const recent = devices.recent();
    expect(recent.length).toBeLessThanOrEqual(100);
    expect(new Set(recent).size).toBe(recent.length);
    expect(recent.at(-1)).toBe(deviceNames[9]);
  });
});
