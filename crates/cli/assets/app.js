// The demo chat. Everything another person wrote reaches the page through `textContent` only.

import { IMAGE_TYPES, measure, picture, prepare } from './images.js';
import { dressAvatar, element, hue, isEmoji, sentence, syncList, textContent } from './tools.js';
import { Socket } from './wirebird-client.js';

const HOME = 'lobby';
const LIST_LIMIT = 400; //            older entries leave the page
const GROUP_GAP = 5 * 60_000; //      a longer pause starts a new group of bubbles
const TYPING_REPEAT = 2_500; //       while writing, tell the others this often …
const TYPING_EXPIRY = 6_000; //       … and forget about somebody who stopped telling
const NAME_RETRIES = 25; //           after a lost connection the server may hold the name until its ping timeout
const NAME_RETRY_DELAY = 2_500;

const ui = Object.fromEntries([...document.querySelectorAll('[id]')].map((node) => [node.id, node]));

let socket = null;
let me = '';
let signedIn = false;
let room = null; //        the room the server put us in
let wantedRoom = HOME; //  the room we asked for last; joined again after a reconnection

// --- Signing in and out ------------------------------------------------------------------------------

ui['sign-in-form'].addEventListener('submit', (event) => {
  event.preventDefault();
  if (socket) return;
  const name = ui.name.value.trim();
  if (!name) return nameError('Please enter a name.');
  signIn(name);
});

ui.name.addEventListener('input', () => nameError(''));
ui['sign-out'].addEventListener('click', () => signOut());

// Without a goodbye, a page that ends between two polls would keep its name until the ping timeout.
addEventListener('pagehide', () => socket?.disconnect());
addEventListener('pageshow', (event) => event.persisted && socket?.connect());

function signIn(name, { retries = 0 } = {}) {
  nameError('');
  signInBusy(true);
  me = name;
  wantedRoom = roomFromAddress() ?? HOME;
  // `?transports=websocket` or `?transports=polling` restricts the connection, to try each of them.
  const transports = new URLSearchParams(location.search).get('transports')?.split(',');
  socket = new Socket({ auth: { name }, requestTimeout: 10_000, ...(transports && { transports }) });
  socket.on('connect', connected);
  socket.on('connect_error', (error) => connectFailed(error, () => retries-- > 0));
  socket.on('disconnect', disconnected);
  socket.on('reconnecting', ({ delay }) => signedIn && showCountdown('Connection lost.', delay));
  socket.on('upgrade', () => showConnection());
  socket.on('latency', (ms) => (ui.rtt.textContent = `${Math.max(1, Math.round(ms))} ms`));
  socket.on('message', (message) => inOrder(() => receiveText(message)));
  socket.on('image', (image, bytes) => inOrder(() => receiveImage(image, bytes)));
  socket.on('notice', (notice) => inOrder(() => notice.room === room && addNotice(notice)));
  socket.on('typing', receiveTyping);
  socket.on('presence', (presence) => presence.room === room && showMembers(presence.members));
  socket.on('rooms', showRooms);
  socket.connect();
}

let nameRetries = 0;
let nameRetryTimer = 0;

function connected() {
  nameRetries = 0;
  hideBanner();
  signInBusy(false);
  if (!signedIn) {
    signedIn = true;
    remember(me);
    ui['my-name'].textContent = me;
    dressAvatar(ui['my-avatar'], me);
    ui.welcome.hidden = true;
    ui.chat.hidden = false;
  }
  showConnection();
  join(wantedRoom);
  socket.emit('rooms', showRooms);
}

function connectFailed(error, retryLeft) {
  const nameIsHeld = error.refused && error.message === 'name is taken';
  if (nameIsHeld && (signedIn ? nameRetries++ < NAME_RETRIES : retryLeft())) {
    if (signedIn) showCountdown('The server still holds your name for the lost connection.', NAME_RETRY_DELAY);
    nameRetryTimer = setTimeout(() => socket?.connect(), signedIn ? NAME_RETRY_DELAY : 400);
  } else if (error.refused) {
    signOut(error.data?.field === 'name' || error.message ? sentence(error.message) : 'The server refused the connection.');
  } else if (!signedIn) {
    signOut('The server cannot be reached. Please try again.');
  }
}

function disconnected(reason) {
  clearTyping();
  if (reason !== 'io server disconnect') return showConnection();
  showConnection('disconnected');
  showBanner('The server closed the connection.', 'Connect', { busy: false });
}

function signOut(message = '') {
  const leaving = socket;
  socket = null;
  clearTimeout(nameRetryTimer);
  leaving?.disconnect();
  hideBanner();
  clearMessages();
  closeDrawer();
  if (signedIn) remember('');
  signedIn = false;
  room = null;
  document.title = 'Wirebird chat';
  ui.chat.hidden = true;
  ui.welcome.hidden = false;
  signInBusy(false);
  nameError(message);
  ui.name.value ||= me;
  ui.name.focus();
}

function signInBusy(busy) {
  ui['sign-in'].setAttribute('aria-disabled', String(busy));
  ui['sign-in'].textContent = busy ? 'Joining…' : 'Join the chat';
}

function nameError(text) {
  ui['name-error'].textContent = text;
  ui.name.setAttribute('aria-invalid', String(text !== ''));
}

/** The name survives a reload of this tab; storage may be switched off. */
function remember(name) {
  try {
    sessionStorage.setItem('wirebird-name', name);
  } catch {}
}

function remembered() {
  try {
    return sessionStorage.getItem('wirebird-name') ?? '';
  } catch {
    return '';
  }
}

// --- State of the connection -------------------------------------------------------------------------

let countdownTimer = 0;

function showConnection(otherState) {
  const waiting = navigator.onLine ? 'connecting' : 'offline';
  const state = socket?.connected ? 'connected' : otherState ?? waiting;
  ui.pill.dataset.state = ui.chat.dataset.connection = state;
  ui.status.textContent = { connected: 'Connected', connecting: 'Reconnecting', offline: 'Offline', disconnected: 'Disconnected' }[state];
  ui.transport.textContent = socket?.transport ?? '–';
  if (state !== 'connected') ui.rtt.textContent = '–';
}

function showBanner(text, action, { busy = true } = {}) {
  clearInterval(countdownTimer);
  ui['banner-text'].textContent = text;
  ui['banner-action'].textContent = action;
  ui.spinner.hidden = !busy;
  ui.banner.hidden = false;
}

function showCountdown(text, delay) {
  showConnection();
  const end = performance.now() + delay;
  const tick = () => {
    const seconds = Math.ceil((end - performance.now()) / 1000);
    ui['banner-text'].textContent = seconds > 0 ? `${text} Next attempt in ${seconds} s` : `${text} Connecting…`;
  };
  showBanner(text, 'Try now');
  tick();
  countdownTimer = setInterval(tick, 250);
}

function hideBanner() {
  clearInterval(countdownTimer);
  ui.banner.hidden = true;
}

ui['banner-action'].addEventListener('click', () => {
  clearTimeout(nameRetryTimer);
  showConnection();
  showBanner('Connecting…', 'Try now');
  socket?.connect();
});
addEventListener('offline', () => signedIn && showConnection());
addEventListener('online', () => signedIn && showConnection());

// --- Rooms and people --------------------------------------------------------------------------------

let rooms = [];

ui['room-form'].addEventListener('submit', (event) => {
  event.preventDefault();
  const name = ui.room.value.trim();
  if (name) join(name, { typed: true });
});
ui.room.addEventListener('input', () => roomError(''));
addEventListener('hashchange', () => {
  const name = roomFromAddress();
  if (signedIn && name && name !== room) join(name);
});

/** The room is part of the address, so that it can be bookmarked and shared. */
function roomFromAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).trim() || null;
  } catch {
    return null;
  }
}

function join(name, { typed = false } = {}) {
  roomError('');
  const sent = socket?.emit('join', name, (reply) => {
    if (!reply?.ok) {
      wantedRoom = room ?? HOME;
      roomError(sentence(reply?.error ?? 'the room cannot be joined'));
      if (!room && name !== HOME) join(HOME);
      return;
    }
    wantedRoom = reply.room;
    if (typed) ui.room.value = '';
    enter(reply);
  });
  if (!sent) roomError('Not connected. Please wait a moment.');
}

function enter({ room: name, members, history }) {
  const arrived = name !== room;
  if (arrived) {
    stopTyping();
    clearMessages();
    room = name;
    ui['room-name'].textContent = name;
    if (roomFromAddress() !== name) location.hash = encodeURIComponent(name);
    closeDrawer();
    if (matchMedia('(hover: hover)').matches) ui.text.focus();
  }
  showTitle();
  showRooms(rooms);
  showMembers(members);
  // After a reconnection only what was missed is added. The past is not read out.
  ui.scroller.setAttribute('aria-live', 'off');
  for (const message of history ?? []) receiveText(message, { fresh: false });
  setTimeout(() => ui.scroller.removeAttribute('aria-live'), 500);
  ui.empty.hidden = ui.messages.querySelector('.message') !== null;
  if (arrived) scrollToEnd();
}

function showRooms(list) {
  if (!Array.isArray(list)) return;
  rooms = list;
  const shown = rooms.some((entry) => entry.room === room) || !room ? [...rooms] : [...rooms, { room, members: 0 }];
  shown.sort((a, b) => (b.room === HOME) - (a.room === HOME) || a.room.localeCompare(b.room));
  syncList(ui['room-list'], shown, (entry) => entry.room, createRoom, (item, entry) => {
    const button = item.firstElementChild;
    button.setAttribute('aria-current', String(entry.room === room));
    item.querySelector('.room-size').textContent = entry.members;
    item.querySelector('.visually-hidden').textContent = entry.members === 1 ? ' person' : ' people';
  });
}

function createRoom(entry) {
  const hash = Object.assign(element('span', 'hash', '#'), { ariaHidden: 'true' });
  const button = element('button', 'room', hash, element('bdi', 'room-label', entry.room), element('span', 'room-size'), element('span', 'visually-hidden'));
  button.type = 'button';
  button.title = entry.room;
  button.addEventListener('click', () => (entry.room === room ? closeDrawer() : join(entry.room)));
  return element('li', '', button);
}

function showMembers(members) {
  if (!Array.isArray(members)) return;
  const sorted = [...members].sort((a, b) => (b === me) - (a === me) || a.localeCompare(b));
  syncList(ui['member-list'], sorted, (name) => name, createMember, () => {});
  ui['room-count'].textContent = members.length === 1 ? 'Only you' : `${members.length} people`;
  for (const name of typists.keys()) if (!members.includes(name)) forgetTypist(name);
}

function createMember(name) {
  const avatar = Object.assign(element('span', ''), { ariaHidden: 'true' });
  dressAvatar(avatar, name);
  const label = element('span', 'member-name', element('bdi', '', name));
  if (name === me) label.append(element('span', 'you', ' (you)'));
  return element('li', 'member', avatar, label);
}

function roomError(text) {
  ui['room-error'].textContent = text;
  ui.room.setAttribute('aria-invalid', String(text !== ''));
}

// --- Messages ----------------------------------------------------------------------------------------

const known = new Set(); //        keys of the messages on the page; ids begin anew with the server, so the time is part
const entries = new WeakMap(); //  list item → { from, own, at, key, url }
let last = null; //                the entry at the end of the list, if it is a message
let lastDay = '';
let queue = Promise.resolve();

/** Images are measured before they are shown, which takes a moment; this keeps what follows behind them. */
function inOrder(task) {
  queue = queue.then(task).catch(reportError);
}

function receiveText(message, { fresh = true } = {}) {
  const key = `${message.id}@${message.at}`;
  if (message.room !== room || typeof message.text !== 'string' || known.has(key)) return;
  const own = message.from === me;
  const entry = addMessage({ own, from: message.from, at: message.at, key, content: textContent(message.text), fresh });
  if (isEmoji(message.text)) entry.item.classList.add('emoji');
  if (own) setState(entry, 'delivered');
  forgetTypist(message.from);
  if (fresh && !own) countUnseen();
}

async function receiveImage(image, bytes) {
  const key = `${image.id}@${image.at}`;
  if (image.room !== room || known.has(key)) return;
  const blob = new Blob([bytes], { type: IMAGE_TYPES.includes(image.type) ? image.type : 'application/octet-stream' });
  const size = IMAGE_TYPES.includes(image.type) && (await measure(blob));
  if (image.room !== room) return;
  const url = size ? URL.createObjectURL(blob) : null;
  const content = size ? picture(url, size, image.name) : textContent(`“${image.name}” cannot be shown.`);
  addMessage({ own: false, from: image.from, at: image.at, key, content, url });
  forgetTypist(image.from);
  countUnseen();
}

function addMessage({ own, from, at, key, content, url = null, fresh = true }) {
  const stick = own || isAtEnd();
  addDay(at);
  const item = ui['message-template'].content.firstElementChild.cloneNode(true);
  const follows = last?.from === from && last.own === own && at - last.at < GROUP_GAP;
  item.classList.add(`hue-${hue(from)}`);
  item.classList.toggle('own', own);
  item.classList.toggle('follows', follows);
  item.classList.toggle('fresh', fresh);
  item.dataset.from = from;
  dressAvatar(item.querySelector('.avatar'), from);
  item.querySelector('.author').textContent = from;
  item.querySelector('.body').replaceWith(content);
  if (own) item.querySelector('.meta').append(ui['state-template'].content.cloneNode(true));
  const entry = { item, own, from, at, key, url };
  entries.set(item, entry);
  if (key) known.add(key);
  ui.empty.hidden = true;
  showTime(entry);
  append(item, stick);
  last = entry;
  return entry;
}

function addNotice({ text, at }) {
  const stick = isAtEnd();
  addDay(at);
  const item = element('li', 'notice', element('bdi', '', text));
  item.dataset.testid = 'notice';
  append(item, stick);
  last = null;
}

function addDay(at) {
  const day = new Date(at).toDateString();
  if (day === lastDay) return;
  lastDay = day;
  last = null;
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  const names = { [today.toDateString()]: 'Today', [yesterday.toDateString()]: 'Yesterday' };
  const label = names[day] ?? new Date(at).toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
  ui.messages.append(element('li', 'day', label));
}

function append(item, stick) {
  ui.messages.append(item);
  while (ui.messages.children.length > LIST_LIMIT) discard(ui.messages.firstElementChild);
  if (stick) scrollToEnd();
}

function discard(item) {
  const entry = entries.get(item);
  if (entry?.url) URL.revokeObjectURL(entry.url);
  known.delete(entry?.key);
  item.remove();
}

function clearMessages() {
  ui.viewer.close();
  for (const item of [...ui.messages.children]) discard(item);
  ui.empty.hidden = true;
  last = null;
  lastDay = '';
  clearTyping();
  resetUnseen();
}

function showTime({ item, at }) {
  const time = item.querySelector('time');
  const date = new Date(at);
  time.dateTime = date.toISOString();
  time.title = date.toLocaleString();
  time.textContent = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

// --- Sending -----------------------------------------------------------------------------------------

ui.composer.addEventListener('submit', (event) => {
  event.preventDefault();
  const text = ui.text.value.trim();
  if (!text || !room) return;
  ui.text.value = '';
  fitComposer();
  stopTyping();
  const entry = addMessage({ own: true, from: me, at: Date.now(), content: textContent(text) });
  if (isEmoji(text)) entry.item.classList.add('emoji');
  deliver(entry, ['message', { text }]);
  ui.text.focus();
});

ui.text.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ui.composer.requestSubmit();
});

ui.text.addEventListener('input', () => {
  fitComposer();
  if (ui.text.value.trim()) reportTyping();
  else stopTyping();
});

function fitComposer() {
  ui.composer.classList.toggle('blank', !ui.text.value.trim());
  ui.text.style.height = '';
  if (ui.text.scrollHeight > ui.text.clientHeight) ui.text.style.height = `${ui.text.scrollHeight}px`;
}

/** Sends a message that is on the page already; the tick appears with the server's acknowledgement. */
async function deliver(entry, call) {
  setState(entry, 'sending');
  try {
    const reply = await (socket?.request(...call) ?? Promise.reject(new Error('not connected')));
    if (!reply?.ok) throw new Error(reply?.error ?? 'refused');
    if (!entry.item.isConnected) return;
    entry.key = `${reply.id}@${reply.at}`;
    entry.at = reply.at;
    known.add(entry.key);
    showTime(entry);
    setState(entry, 'delivered');
  } catch (error) {
    setState(entry, 'failed', error.message, () => deliver(entry, call));
  }
}

const STATES = {
  sending: { icon: '#icon-clock', label: 'Sending' },
  delivered: { icon: '#icon-tick', label: 'Delivered' },
  failed: { icon: '#icon-alert', label: 'Not delivered' },
};

function setState({ item }, name, reason, retry) {
  const stick = isAtEnd();
  const state = item.querySelector('.state');
  item.dataset.state = state.dataset.state = name;
  state.querySelector('use').setAttribute('href', STATES[name].icon);
  state.lastElementChild.textContent = STATES[name].label;
  const old = item.querySelector('.failure');
  const hadFocus = old?.contains(document.activeElement);
  old?.remove();
  if (name === 'failed') {
    const failure = ui['failure-template'].content.firstElementChild.cloneNode(true);
    failure.firstElementChild.textContent = `Not delivered: ${reason}`;
    failure.lastElementChild.addEventListener('click', retry);
    item.querySelector('.stack').append(failure);
  } else if (hadFocus) {
    ui.text.focus();
  }
  if (stick) scrollToEnd();
}

// --- Images ------------------------------------------------------------------------------------------

ui.attach.addEventListener('click', () => ui.image.click());
ui.image.addEventListener('change', () => {
  sendImages([...ui.image.files]);
  ui.image.value = '';
});

ui.text.addEventListener('paste', (event) => {
  const images = [...event.clipboardData.files].filter((file) => file.type.startsWith('image/'));
  if (!images.length) return;
  event.preventDefault();
  sendImages(images);
});

let dragDepth = 0;
const dragsFiles = (event) => signedIn && event.dataTransfer?.types.includes('Files');
addEventListener('dragenter', (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  dragDepth += 1;
  ui.drop.hidden = false;
});
addEventListener('dragover', (event) => dragsFiles(event) && event.preventDefault());
addEventListener('dragleave', (event) => {
  if (dragsFiles(event) && --dragDepth <= 0) endDrag();
});
addEventListener('drop', (event) => {
  if (!dragsFiles(event)) return;
  event.preventDefault();
  endDrag();
  sendImages([...event.dataTransfer.files]);
});

function endDrag() {
  dragDepth = 0;
  ui.drop.hidden = true;
}

async function sendImages(files) {
  const target = room;
  for (const file of files) {
    try {
      const { blob, name, size } = await prepare(file);
      const bytes = await blob.arrayBuffer();
      if (!target || room !== target) return;
      const url = URL.createObjectURL(blob);
      const entry = addMessage({ own: true, from: me, at: Date.now(), content: picture(url, size, name), url });
      deliver(entry, ['image', name, blob.type, bytes]);
    } catch (error) {
      toast(error.message);
    }
  }
}

let toastTimer = 0;

function toast(text) {
  ui.toast.textContent = text;
  ui.toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (ui.toast.hidden = true), 6_000);
}

// --- Typing ------------------------------------------------------------------------------------------

const typists = new Map(); //  name → timer
let reportedTyping = 0;
let idleTimer = 0;

function reportTyping() {
  const now = performance.now();
  if (!reportedTyping || now - reportedTyping > TYPING_REPEAT) {
    socket?.emit('typing', true);
    reportedTyping = now;
  }
  clearTimeout(idleTimer);
  idleTimer = setTimeout(stopTyping, TYPING_REPEAT * 1.5);
}

function stopTyping() {
  clearTimeout(idleTimer);
  if (reportedTyping) socket?.emit('typing', false);
  reportedTyping = 0;
}

function receiveTyping({ room: where, from, typing }) {
  if (where !== room || from === me) return;
  forgetTypist(from);
  if (typing) typists.set(from, setTimeout(() => forgetTypist(from), TYPING_EXPIRY));
  showTypists();
}

function forgetTypist(name) {
  if (!typists.has(name)) return;
  clearTimeout(typists.get(name));
  typists.delete(name);
  showTypists();
}

function clearTyping() {
  for (const name of [...typists.keys()]) forgetTypist(name);
  reportedTyping = 0;
}

function showTypists() {
  const names = [...typists.keys()];
  const text = ['', `${names[0]} is typing…`, `${names[0]} and ${names[1]} are typing…`][names.length] ?? `${names.length} people are typing…`;
  ui.typing.textContent = text;
  ui['typing-dots'].hidden = !text;
}

// --- Scrolling, the title, the drawer ----------------------------------------------------------------

let unseen = 0;
let atEnd = true; // as of the last scroll, so that a change of height does not count as scrolling away

function isAtEnd() {
  return ui.scroller.scrollHeight - ui.scroller.scrollTop - ui.scroller.clientHeight < 60;
}

function scrollToEnd() {
  ui.scroller.scrollTop = ui.scroller.scrollHeight;
  atEnd = true;
}

ui.scroller.addEventListener('scroll', () => {
  atEnd = isAtEnd();
  ui.jump.hidden = atEnd;
  if (atEnd && !document.hidden) resetUnseen();
});
new ResizeObserver(() => atEnd && scrollToEnd()).observe(ui.scroller);
ui.jump.addEventListener('click', () => {
  scrollToEnd();
  ui.text.focus();
});
document.addEventListener('visibilitychange', () => !document.hidden && isAtEnd() && resetUnseen());

function countUnseen() {
  if (!document.hidden && isAtEnd()) return;
  unseen += 1;
  showUnseen();
}

function resetUnseen() {
  unseen = 0;
  showUnseen();
}

function showUnseen() {
  ui['jump-text'].textContent = unseen ? `${unseen} new` : 'Latest';
  showTitle();
}

function showTitle() {
  document.title = room ? `${unseen ? `(${unseen}) ` : ''}#${room} · Wirebird` : 'Wirebird chat';
}

const narrow = matchMedia('(width < 48rem)');

function openDrawer() {
  ui.chat.classList.add('drawer-open');
  ui['open-menu'].setAttribute('aria-expanded', 'true');
  ui.conversation.inert = true;
  ui['close-menu'].focus();
}

function closeDrawer() {
  if (!ui.chat.classList.contains('drawer-open')) return;
  ui.chat.classList.remove('drawer-open');
  ui['open-menu'].setAttribute('aria-expanded', 'false');
  ui.conversation.inert = false;
  if (narrow.matches) ui['open-menu'].focus();
}

ui['open-menu'].addEventListener('click', openDrawer);
ui['close-menu'].addEventListener('click', closeDrawer);
ui.scrim.addEventListener('click', closeDrawer);
narrow.addEventListener('change', closeDrawer);
addEventListener('keydown', (event) => event.key === 'Escape' && closeDrawer());

// --- Start -------------------------------------------------------------------------------------------

fitComposer();
if (remembered()) {
  ui.name.value = remembered();
  signIn(remembered(), { retries: 3 }); // the server may notice the end of the page before this one a little late
}
