// The live page: it shows what the server says at /events, and sends what its buttons ask to /do.

const shown = 200;
const faults = [
  { label: 'throttle all calls', fault: { kind: 'throttle' } },
  { label: 'throttle reads', fault: { kind: 'throttle', action: 'Describe*' } },
  { label: 'no answers', fault: { kind: 'drop-request' } },
  { label: 'answers get lost', fault: { kind: 'drop-reply' } },
  { label: 'attaching hangs', fault: { kind: 'stuck-attaching' } },
  { label: 'detaching hangs', fault: { kind: 'stuck-detaching' } },
  { label: 'reads are 10 s behind', fault: { kind: 'stale-reads', ms: 10_000 } },
];
const allWell = 'all well again';
const powers = ['cut power', 'stop', 'hibernate', 'reboot', 'terminate', 'hang'];

const byId = (id) => document.getElementById(id);
const names = new Map();
const nameOf = (id) => names.get(id) ?? id;
const inLetters = (text) => text.replaceAll(/\b(?:i|vol)-[0-9a-f]{17}\b/g, nameOf);

/** An element with text alone: what comes from tags is never read as HTML. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== ''));
  return made;
}

function button(label, request, pressed) {
  const made = element('button', { type: 'button' }, label);
  if (pressed !== undefined) made.setAttribute('aria-pressed', pressed);
  made.addEventListener('click', () => ask(request()));
  return made;
}

async function ask(request) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch('do', { method: 'POST', headers, body: JSON.stringify(request) });
  const { error } = await response.json();
  if (error !== undefined) addStory({ at: new Date().toISOString(), text: error });
}

/**
 * Makes the children of `parent` those of `wanted`, and leaves alone what has not changed: a button that is being pressed stays.
 * @param wanted [key, what it shows, how it is made], in order
 */
function renew(parent, wanted) {
  const keys = wanted.map(([key]) => key);
  for (const child of [...parent.children]) if (!keys.includes(child.dataset.key)) child.remove();
  for (const [key, data, make] of wanted) {
    const old = [...parent.children].find((child) => child.dataset.key === key);
    const shows = JSON.stringify(data);
    if (old?.dataset.shows === shows) continue;
    const made = make();
    made.dataset.key = key;
    made.dataset.shows = shows;
    if (old === undefined) parent.append(made);
    else old.replaceWith(made);
  }
}

function volumeOf({ id, name, sizeGib, state, at, mounted }, driver) {
  const has = driver === 'silent' ? 'mounted when it last answered' : 'mounted';
  const doing = { attached: mounted ? has : 'attached', busy: 'detaching: in use' };
  const what = at === undefined ? state : `${doing[at.state] ?? at.state}, ${at.device}`;
  const data = { class: 'volume', 'data-id': id, 'data-at': at?.state ?? '', 'data-mounted': mounted };
  return element('div', data, element('strong', {}, name), ` ${sizeGib} GiB`, element('small', { title: id }, what));
}

function instanceOf(instance, volumes) {
  const { id, name, state, zone, reason, driver, docker, waits } = instance;
  const act = (label) => button(label, () => ({ act: label, instance: id, volume: byId('volume').value }));
  const running = ['mount', 'unmount', ...powers, ...(driver === 'silent' ? ['go on'] : [])];
  const acts = { running, stopped: ['start', 'terminate'], stopping: ['cut power'] }[state] ?? [];
  const says = { silent: ', its driver does not answer', none: '', answers: docker ? ', Docker talks to it' : '' };
  return element(
    'article',
    { class: 'instance', 'data-id': id, 'data-state': state, 'data-driver': driver },
    element('h3', {}, `${name}: ${state}`),
    element('small', {}, `${id} in ${zone}${reason === '' ? '' : `, ${reason}`}${says[driver]}`),
    element('div', { class: 'volumes' }, ...volumes.map((each) => volumeOf(each, driver))),
    ...waits.map((text) => element('p', { class: 'waits' }, inLetters(text))),
    element('div', { class: 'buttons' }, ...acts.map(act)),
  );
}

function show({ instances, volumes, faults: standing }) {
  const before = places();
  names.clear();
  for (const { id, name } of [...instances, ...volumes]) names.set(id, name);
  const having = (id) => volumes.filter(({ at }) => at?.instance === id);
  renew(
    byId('instances'),
    instances.map((each) => [each.id, [each, having(each.id)], () => instanceOf(each, having(each.id))]),
  );
  renew(
    document.querySelector('#free .volumes'),
    having(undefined).map((each) => [each.id, each, () => volumeOf(each)]),
  );
  const isOn = ({ kind, action }) => standing.some((each) => each.kind === kind && each.action === action);
  renew(document.querySelector('#faults .buttons'), [
    ...faults.map(({ label, fault }) => [
      label,
      isOn(fault),
      () => button(label, () => ({ act: 'fault', fault }), isOn(fault)),
    ]),
    [allWell, '', () => button(allWell, () => ({ act: 'clear' }))],
  ]);
  move(before);
}

const places = () =>
  new Map([...document.querySelectorAll('.volume')].map((each) => [each.dataset.id, each.getBoundingClientRect()]));

/** A volume that is elsewhere now goes there before the eyes. */
function move(before) {
  if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  for (const each of document.querySelectorAll('.volume')) {
    const [was, now] = [before.get(each.dataset.id), each.getBoundingClientRect()];
    const [x, y] = [(was?.x ?? now.x) - now.x, (was?.y ?? now.y) - now.y];
    if (x === 0 && y === 0) continue;
    each.animate({ transform: [`translate(${x}px, ${y}px)`, 'none'] }, { duration: 600, easing: 'ease-in-out' });
  }
}

const clock = (at) => element('time', { datetime: at }, new Date(at).toTimeString().slice(0, 8));

function addFirst(list, item) {
  list.prepend(item);
  while (list.children.length > shown) list.lastChild.remove();
}

function addStory({ at, text }) {
  addFirst(byId('story'), element('li', {}, clock(at), ` ${text}`));
}

let count = 0;
function addCall({ time, action, caller, volume, instance, result }) {
  count += 1;
  byId('count').textContent = count;
  const about = [volume, instance].filter((id) => id !== undefined).map(nameOf);
  const words = [caller === undefined ? 'you' : nameOf(caller), action, ...about].join(' ');
  const kind = /^(Describe|Get)/.test(action) ? '' : 'changes';
  // A call with DryRun asks only whether it may be made: this is the answer that it may.
  const answers = { OK: ['', kind], DryRunOperation: [' (dry run: allowed)', ''] };
  const [answer, look] = answers[result] ?? [`: ${result}`, 'refused'];
  const item = element('li', { class: look }, clock(time), ` ${words}${answer}`);
  addFirst(byId('calls'), item);
}

const events = new EventSource('events');
const on = (name, handle) => events.addEventListener(name, ({ data }) => handle(JSON.parse(data)));
on('begin', ({ told, calls, view }) => {
  byId('connection').textContent = 'live';
  byId('story').replaceChildren();
  byId('calls').replaceChildren();
  count = 0;
  show(view);
  told.forEach(addStory);
  calls.forEach(addCall);
});
on('view', show);
on('told', addStory);
on('call', addCall);
events.addEventListener('error', () => {
  byId('connection').textContent = 'the sandbox has ended';
});
