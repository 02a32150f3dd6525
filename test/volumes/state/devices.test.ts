import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deviceNames } from '../../../src/ebs/device-names.ts';
import { createDeviceNames, type DeviceUse } from '../../../src/volumes/state/devices.ts';

/** The names that are used while one of them can be. */
const listed = deviceNames.slice(0, 63);

const none: ReadonlySet<string> = new Set();
/** How long a detach may still arrive. */
const lateMs = 330_000;

/** Device names with a clock that stands until it is moved. */
function bench(history: readonly DeviceUse[] = []) {
  const clock = { ms: 1_800_000_000_000 };
  const open = (uses: readonly DeviceUse[]) => createDeviceNames(uses, () => clock.ms);
  return { clock, open, devices: open(history) };
}
type Devices = ReturnType<typeof bench>['devices'];
const reserve = (devices: Devices, volumeId: string) => devices.reserve(volumeId, none) ?? expect.fail('no name');

describe('device names', () => {
  it('are never given twice at a time, until all are', () => {
    const { devices } = bench();
    const given = deviceNames.map((_, index) => devices.reserve(`vol-${index}`, none));
    expect(new Set(given)).toEqual(new Set(deviceNames));
    expect(devices.inUse()).toBe(deviceNames.length);
    expect(devices.reserve('vol-x', none)).toBeUndefined();
    devices.free('/dev/xvdbm', 'vol-12');
    expect(devices.next('vol-x', none)).toBe('/dev/xvdbm');
    expect(devices.reserve('vol-x', none)).toBe('/dev/xvdbm');
  });

  it('come back longest unused first, to other volumes at once', () => {
    const { devices } = bench();
    const first = reserve(devices, 'vol-0');
    devices.free(first, 'vol-0');
    for (let index = 1; index < listed.length; index++) {
      const name = reserve(devices, `vol-${index}`);
      expect(name).not.toBe(first);
      devices.free(name, `vol-${index}`);
    }
    expect(reserve(devices, 'vol-x')).toBe(first);
  });

  it('are not given while EC2, the kernel or this node has them', () => {
    const { devices } = bench();
    const [a = '', b = '', c = '', ...others] = deviceNames;
    devices.take(others);
    devices.listed([{ device: a.replace('/dev/', '') }]);
    expect(devices.reserve('vol-1', new Set([b, c]))).toBeUndefined();
    expect(devices.inUse()).toBe(deviceNames.length - 2);
    devices.listed([]);
    expect(devices.reserve('vol-1', new Set([b, c]))).toBe(a);
  });

  it('that EC2 still lists just after their use are free all the same, and later are not', () => {
    const { devices, clock } = bench();
    const name = reserve(devices, 'vol-1');
    devices.free(name, 'vol-1');
    devices.listed([{ device: name }]);
    expect(devices.inUse()).toBe(0);
    clock.ms += 21_000;
    devices.listed([{ device: name }]);
    expect(devices.inUse()).toBe(1);
  });
});

describe('a volume', () => {
  it('gets no name that it had as long as a detach from then may arrive', () => {
    const { devices, clock } = bench();
    for (const _ of deviceNames) devices.free(reserve(devices, 'vol-1'), 'vol-1');
    expect(devices.reserve('vol-1', none)).toBeUndefined();
    expect(devices.keptBack('vol-1')).toHaveLength(deviceNames.length);
    expect(devices.keptBack('vol-1')[0]).toEqual({ name: deviceNames[0], why: 'this volume had it', forMs: lateMs });
    expect(devices.keptBack('vol-2')).toEqual([]);
    const other = reserve(devices, 'vol-2');
    devices.free(other, 'vol-2');
    clock.ms += lateMs - 1;
    expect(devices.reserve('vol-1', none)).toBeUndefined();
    clock.ms += 1;
    expect(devices.reserve('vol-1', none)).toBe(deviceNames[1]);
  });

  it('may have a name again under which nothing came to be attached', () => {
    const { devices } = bench();
    for (const _ of listed) devices.free(reserve(devices, 'vol-1'), undefined);
    expect(devices.reserve('vol-1', none)).toBe(deviceNames[0]);
  });
});

describe('quarantine', () => {
  it('keeps a name from its volume as long as a detach may arrive', () => {
    const { devices, clock } = bench();
    const [name = '', ...others] = deviceNames;
    expect(reserve(devices, 'vol-1')).toBe(name);
    devices.take(others);
    devices.quarantine(name, 'vol-1', 'it was pulled');
    expect(devices.keptBack('vol-1')).toEqual([]);
    devices.free(name, undefined);
    expect(devices.reserve('vol-1', none)).toBeUndefined();
    expect(devices.keptBack('vol-1')).toEqual([{ name, why: 'it was pulled', forMs: lateMs }]);
    clock.ms += lateMs;
    expect(devices.keptBack('vol-1')).toEqual([]);
    expect(devices.reserve('vol-1', none)).toBe(name);
  });

  it('makes a name the last choice of every other volume, for as long', () => {
    const { devices, clock } = bench();
    const [bad = '', used = '', ...others] = deviceNames;
    devices.quarantine(bad, 'vol-1', 'it was pulled');
    clock.ms += 1000;
    devices.free(used, 'vol-1');
    devices.take(others);
    expect(devices.next('vol-2', none)).toBe(used);
    devices.take([used]);
    expect(devices.next('vol-2', none)).toBe(bad);
    devices.free(used, 'vol-1');
    clock.ms += lateMs - 1000;
    expect(devices.next('vol-2', none)).toBe(bad);
  });

  it('of every name by one volume leaves others all of them, and it none', () => {
    const { devices } = bench();
    for (const name of deviceNames) devices.quarantine(name, 'vol-1', 'EC2 gave up an attachment under it');
    const given = deviceNames.map((_, index) => devices.reserve(`vol-${index + 2}`, none));
    expect(new Set(given)).toEqual(new Set(deviceNames));
    expect(devices.reserve('vol-1', none)).toBeUndefined();
  });

  it('outlasts a restart, and what was in use then rests from the restart on', () => {
    const { devices, open, clock } = bench();
    const bad = reserve(devices, 'vol-1');
    devices.quarantine(bad, 'vol-1', 'it was pulled');
    devices.free(bad, undefined);
    const used = reserve(devices, 'vol-2');
    clock.ms += 300_000;
    const after = open(JSON.parse(JSON.stringify(devices.uses())));
    expect(after.keptBack('vol-1')).toEqual([{ name: bad, why: 'it was pulled', forMs: 30_000 }]);
    expect(after.keptBack('vol-2')).toEqual([{ name: used, why: 'this volume had it', forMs: lateMs }]);
  });

  it('is not longer for a clock that was set back over the restart', () => {
    const { devices, open, clock } = bench();
    devices.quarantine(deviceNames[0] ?? '', 'vol-1', 'it was pulled');
    clock.ms -= 86_400_000;
    expect(open(devices.uses()).keptBack('vol-1')).toMatchObject([{ forMs: lateMs }]);
  });
});

describe('the history', () => {
  it('of an earlier version is an order only', () => {
    const { devices } = bench(listed.toReversed().map((name) => ({ name })));
    expect(devices.keptBack('vol-1')).toEqual([]);
    expect(reserve(devices, 'vol-1')).toBe(listed.at(-1));
  });

  it('is bounded by the names and the uses of the last minutes', () => {
    const { devices, clock } = bench();
    for (let turn = 0; turn < 1000; turn++) {
      const volume = `vol-${turn % 5}`;
      devices.free(reserve(devices, volume), volume);
      devices.free('/dev/sda1', 'vol-root');
      clock.ms += 30_000;
    }
    expect(devices.uses().length).toBeLessThanOrEqual(deviceNames.length + 12);
    expect(devices.uses().map(({ name }) => name)).not.toContain('/dev/sda1');
  });
});

describe('for any order of events', () => {
  const anyEvent = fc.record({
    volume: fc.integer({ min: 0, max: 5 }),
    does: fc.constantFrom('attach', 'attach', 'detach', 'detach', 'refused', 'pulled', 'restart'),
    waitsMs: fc.oneof(
      { weight: 9, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 400_000 }) },
    ),
  });

  it('no late detach can hit a newer attachment of the same volume, no two volumes share a name, and nothing else refuses one', () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 300, size: 'max' }),
        fc.constantFrom(4, deviceNames.length),
        (events, count) => {
          const { open: openAll, clock } = bench();
          const usable = deviceNames.slice(0, count);
          const open = (uses: readonly DeviceUse[]) => {
            const opened = openAll(uses);
            opened.take(deviceNames.slice(count));
            return opened;
          };
          let devices = open([]);
          const attached = new Map<string, string>();
          const ended = new Map<string, number>();
          const end = (volume: string, name: string) => {
            attached.delete(volume);
            devices.free(name, volume);
            ended.set(`${volume} ${name}`, clock.ms);
          };
          for (const { volume: number, does, waitsMs } of events) {
            clock.ms += waitsMs;
            const volume = `vol-${number}`;
            const name = attached.get(volume);
            if (does === 'restart') {
              devices = open(JSON.parse(JSON.stringify(devices.uses())));
              devices.take(attached.values());
            } else if (does === 'attach' && name === undefined) {
              const next = devices.reserve(volume, none);
              const inUse = [...attached.values()];
              const may = usable.filter((each) => {
                const rests = clock.ms - (ended.get(`${volume} ${each}`) ?? 0) < lateMs;
                return !inUse.includes(each) && !rests;
              });
              if (next === undefined) expect(may).toEqual([]);
              else {
                expect(may).toContain(next);
                attached.set(volume, next);
              }
            } else if (does === 'refused' && name === undefined) {
              const next = devices.reserve(volume, none);
              if (next !== undefined) devices.free(next, undefined);
            } else if (does === 'detach' && name !== undefined) end(volume, name);
            else if (does === 'pulled' && name !== undefined) {
              devices.quarantine(name, volume, 'it was pulled');
              end(volume, name);
            }
          }
        },
      ),
    );
  });

  it('of an instance with several EBS cards go to the card with the fewest disks, the first of several', () => {
    const { devices } = bench();
    devices.listed([{ device: '/dev/xvda' }, { device: '/dev/sdf', card: 1 }, { device: '/dev/sdg', card: 1 }]);
    const place = (volumeId: string) => {
      const name = reserve(devices, volumeId);
      return { name, card: devices.chooseCard(name, 2) };
    };
    const [first, ...others] = ['vol-0', 'vol-1', 'vol-2', 'vol-3'].map(place);
    expect([first, ...others].map((each) => each?.card)).toEqual([0, 0, 1, 0]);
    devices.free(first?.name ?? '', 'vol-0');
    expect([place('vol-4').card, devices.chooseCard(reserve(devices, 'vol-5'), 3)]).toEqual([0, 2]);
  });
});
