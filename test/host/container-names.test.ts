import { expect, test } from 'vitest';
import { containerOf } from '../../src/host/namespaces.ts';

const id = '3f2a9c0b1d4e'.padEnd(64, '0');
const task = '0123456789abcdef0123456789abcdef';

test.each([
  [`0::/system.slice/docker-${id}.scope\n`, 'container 3f2a9c0b1d4e'],
  [`12:pids:/docker/${id}\n`, 'container 3f2a9c0b1d4e'],
  [`12:pids:/ecs/${task}/${id}\n`, `container 3f2a9c0b1d4e of ECS task ${task}`],
  [`0::/ecs.slice/ecstasks-${task}.slice/docker-${id}.scope\n`, `container 3f2a9c0b1d4e of ECS task ${task}`],
  ['9:memory:/mesos/0b1d4e5f-6071-8293-a4b5-c6d7e83f2a9c\n', 'Mesos container 0b1d4e5f-6071-8293-a4b5-c6d7e83f2a9c'],
  ['0::/user.slice/session-3.scope\n', undefined],
])('%j is %s', (cgroup, name) => {
  expect(containerOf(cgroup)).toBe(name);
});
