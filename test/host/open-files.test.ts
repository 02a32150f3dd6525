import { open } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isDeviceBusy } from '../../src/host/busy.ts';
import { openedBy } from '../../src/host/open-files.ts';
import { requires } from '../support/requirements.ts';
import { loopDisk, tempDirectory } from './lab.ts';

describe.skipIf(requires('root', 'loop').skip)('who has a disk open', () => {
  it('is nobody, then a program that only reads it, which an exclusive open does not notice, then nobody', async () => {
    const { device } = await loopDisk(await tempDirectory(), 16);
    await expect.poll(() => openedBy(device)).toBe(undefined);
    const file = await open(device.path, 'r');
    onTestFinished(() => file.close().catch(() => undefined));
    expect(await isDeviceBusy(device)).toBe(false);
    expect(await openedBy(device)).toContain(`process ${process.pid}`);
    await file.close();
    expect(await openedBy(device)).toBe(undefined);
  });

  it('is told of each disk by itself', async () => {
    const directory = await tempDirectory();
    const [{ device }, other] = [await loopDisk(directory, 16), await loopDisk(directory, 16, 'other.img')];
    const file = await open(other.device.path, 'r');
    onTestFinished(() => file.close());
    await expect.poll(() => openedBy(device)).toBe(undefined);
    expect(await openedBy(other.device)).toContain(`process ${process.pid}`);
  });
});
