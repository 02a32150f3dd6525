import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseDeviceName, deviceNames, slotOf } from '../../src/ebs/device-names.ts';

/** /dev/xvd[b-c][a-z] and /dev/sd[f-p]. */
const listed = deviceNames.slice(0, 63);
const none = { taken: new Set<string>(), recent: [] };

describe('device names', () => {
  it('are as many as an instance of any type takes besides its root disk, each a disk of its own', () => {
    expect(deviceNames).toHaveLength(127);
    expect(new Set(deviceNames.map(slotOf)).size).toBe(deviceNames.length);
    for (const name of deviceNames)
      expect(name).toMatch(/^\/dev\/(xvd[a-c][a-z]|xvdd[a-x]|sd[f-p]|xvd[b-e]|xvd[q-z])$/);
  });

  it('begin with the ranges that AWS lists, and only these are used while one of them can be', () => {
    for (const name of listed) expect(name).toMatch(/^\/dev\/(xvd[bc][a-z]|sd[f-p])$/);
    const taken = new Set(listed.slice(1));
    expect(chooseDeviceName({ taken, recent: ['/dev/xvdba'] })).toBe('/dev/xvdba');
    expect(chooseDeviceName({ taken: new Set(listed), recent: [] })).toBe('/dev/xvdda');
  });

  it('are taken in order, past the used and the recent ones', () => {
    expect(chooseDeviceName(none)).toBe('/dev/xvdba');
    expect(chooseDeviceName({ taken: new Set(['/dev/xvdba']), recent: ['/dev/xvdbb'] })).toBe('/dev/xvdbc');
  });

  it('come back longest unused first, by their last use', () => {
    const [first, second, ...others] = deviceNames as [string, string, ...string[]];
    expect(chooseDeviceName({ taken: new Set(others), recent: [first, second, first] })).toBe(second);
  });

  it.each(['/dev/sdf', '/dev/xvdf', 'xvdf', 'sdf', '/dev/sdf1'])('%s takes the slot of /dev/sdf', (name) => {
    const others = deviceNames.filter((other) => other !== '/dev/sdf');
    expect(chooseDeviceName({ taken: new Set([...others, name]), recent: [] })).toBeUndefined();
  });

  it('of the root disk take no slot of ours', () => {
    expect(chooseDeviceName({ taken: new Set(['/dev/sda1', '/dev/xvda', '/dev/nvme0n1']), recent: [] })).toBe(
      '/dev/xvdba',
    );
  });
});

describe('for any use', () => {
  const aliases = deviceNames.flatMap((name) => [name, name.replace('/dev/', ''), name.replace('/dev/sd', '/dev/xvd')]);
  const anyUse = fc.record({
    taken: fc.uniqueArray(fc.constantFrom(...aliases), { maxLength: aliases.length }).map((names) => new Set(names)),
    recent: fc.array(fc.constantFrom(...deviceNames)),
  });
  const slot = (name: string) => name.replace(/^(\/dev\/)?(xvd|sd)/, '');
  const isFree = (name: string, taken: ReadonlySet<string>) => ![...taken].map(slot).includes(slot(name));

  it('a taken name is never given, and none only when all are taken', () => {
    fc.assert(
      fc.property(anyUse, (use) => {
        const name = chooseDeviceName(use);
        if (name === undefined) expect(deviceNames.filter((each) => isFree(each, use.taken))).toEqual([]);
        else expect(isFree(name, use.taken)).toBe(true);
      }),
    );
  });

  it('the most recent name is given only when it is the only free one', () => {
    fc.assert(
      fc.property(anyUse, (use) => {
        const name = chooseDeviceName(use);
        if (name !== undefined && name === use.recent.at(-1)) {
          expect(deviceNames.filter((each) => isFree(each, use.taken))).toEqual([name]);
        }
      }),
    );
  });

  it('a recent name is given only when every free name of its range is recent', () => {
    fc.assert(
      fc.property(anyUse, (use) => {
        const name = chooseDeviceName(use);
        if (name === undefined || !use.recent.includes(name)) return;
        const range = deviceNames.filter((each) => listed.includes(each) === listed.includes(name));
        for (const free of range.filter((each) => isFree(each, use.taken))) expect(use.recent).toContain(free);
      }),
    );
  });

  it('names are all different until they run out', () => {
    fc.assert(
      fc.property(anyUse, ({ taken, recent }) => {
        const free = deviceNames.filter((each) => isFree(each, taken));
        const given: string[] = [];
        for (;;) {
          const name = chooseDeviceName({ taken: new Set([...taken, ...given]), recent });
          if (name === undefined) break;
          given.push(name);
        }
        expect(given.toSorted()).toEqual(free.toSorted());
      }),
      { numRuns: 20 },
    );
  });

  it('attach and detach in turn go once round the listed names before one comes back', () => {
    const recent: string[] = [];
    for (let turn = 0; turn < 3 * listed.length; turn += 1) {
      recent.push(chooseDeviceName({ taken: new Set(), recent }) ?? expect.fail());
    }
    expect(recent).toEqual([...listed, ...listed, ...listed]);
  });
});
