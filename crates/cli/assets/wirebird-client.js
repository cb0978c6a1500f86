// A small Socket.IO client for browsers: Socket.IO protocol 5 over Engine.IO protocol 4.
//
//   import { connect } from './wirebird-client.js';
//   const socket = connect({ auth: { name: 'Ada' } });
//   socket.on('connect', () => console.log(socket.id, socket.transport));
//   socket.on('message', (message, ack) => …);        // `ack` only if the server asked for one
//   socket.emit('typing', true);                       // no answer wanted
//   socket.emit('join', 'lobby', (reply) => …);        // a last function takes the answer
//   const reply = await socket.request('rooms');       // the same, as a promise
//
// Binary arguments, at any depth, are ArrayBuffers or views on them; they arrive as ArrayBuffers.
//
// Events of the client itself (server events of these names are not delivered):
//   connect            the server accepted the connection; `id` is set
//   connect_error      (error) no connection; `error.refused` if the server said no, with its `error.data`
//   disconnect         (reason) an established connection ended
//   reconnecting       ({ attempt, delay }) the next attempt starts in `delay` ms; `connect()` skips the wait
//   upgrade            (transport) the connection moved to another transport
//   latency            (ms) the round trip of the latest acknowledgement

const DEFAULTS = {
  path: '/socket.io/',
  namespace: '/',
  auth: undefined, //                       an object, or a function that returns one
  transports: ['polling', 'websocket'], //  the first opens the connection
  connectTimeout: 15_000, //                from the first byte to the accepted namespace
  requestTimeout: 15_000, //                for `request`
  reconnect: true,
  reconnectDelay: 500, //                   doubles with every failure …
  reconnectDelayMax: 8_000, //              … up to this
  jitter: 0.3, //                           each delay varies by this share, so clients do not return in step
};

const LOCAL_EVENTS = new Set(['connect', 'connect_error', 'disconnect', 'reconnecting', 'upgrade', 'latency']);
const RESERVED = new Set(['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']);
const SEPARATOR = '\x1e'; //       between Engine.IO packets in a polling body
const PROBE_TIMEOUT = 10_000; //   for the whole upgrade
const MAX_ATTACHMENTS = 10;

/** Starts a connection. */
export function connect(options = {}) {
  return new Socket(options).connect();
}

class Emitter {
  #listeners = new Map();

  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return this;
  }

  off(name, listener) {
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  /** Calls the listeners; an exception in one of them must not harm the connection. */
  dispatch(name, ...args) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) guard(() => listener(...args));
  }
}

// --- Engine.IO: one session, its transports, the heartbeat -------------------------------------------

class Engine extends Emitter {
  transport;
  #options;
  #state = 'opening'; //   → 'open' → 'closed'
  #session = null; //      the server's handshake: sid, upgrades, pingInterval, pingTimeout, maxPayload
  #queue = []; //          packets to write: a string with its type digit, or the bytes of a binary message
  #ws = null; //           the WebSocket in use, once there is one
  #polling = null; //      the running loop of GETs, a promise
  #posting = null; //      the running loop of POSTs, a promise
  #paused = false; //      during an upgrade: nothing is written, no new GET starts
  #abandonUpgrade = null;
  #heartbeat = 0;
  #requests = new AbortController();

  constructor(options) {
    super();
    this.#options = options;
    this.transport = options.transports[0];
    if (this.transport === 'websocket') this.#adopt(new WebSocket(this.#address('websocket')));
    else this.#poll();
  }

  send(frames) {
    for (const frame of frames) this.#queue.push(typeof frame === 'string' ? `4${frame}` : frame);
    this.#flush();
  }

  /** Ends the session. Reasons of our own say goodbye to the server first. */
  close(reason, { polite = false } = {}) {
    if (this.#state === 'closed') return;
    const told = polite && this.#session && !this.#ws && this.#request('POST', [...this.#queue, '1'].map(toText).join(SEPARATOR));
    this.#state = 'closed';
    clearTimeout(this.#heartbeat);
    this.#abandonUpgrade?.();
    if (this.#ws) {
      this.#ws.onmessage = this.#ws.onclose = null;
      this.#ws.close();
    }
    Promise.resolve(told).catch(() => {}).finally(() => this.#requests.abort());
    this.dispatch('close', reason);
  }

  #address(transport) {
    const url = new URL(this.#options.path, this.#options.url ?? globalThis.location?.href);
    if (transport === 'websocket') url.protocol = url.protocol.replace('http', 'ws');
    url.searchParams.set('EIO', '4');
    url.searchParams.set('transport', transport);
    if (this.#session) url.searchParams.set('sid', this.#session.sid);
    return url;
  }

  #receive(packet) {
    if (this.#state === 'closed') return;
    if (typeof packet !== 'string') return this.dispatch('message', packet);
    const data = packet.slice(1);
    switch (packet[0]) {
      case '0':
        return this.#opened(data);
      case '1':
        return this.close('transport close');
      case '2':
        this.#watch();
        this.#queue.push(`3${data}`);
        return this.#flush();
      case '4':
        return this.dispatch('message', data);
      case 'b':
        return this.dispatch('message', fromBase64(data));
      case '6': // noop: ends a poll during an upgrade
        return;
      default:
        return this.close('parse error');
    }
  }

  #opened(json) {
    const session = parse(json);
    if (this.#state !== 'opening' || typeof session?.sid !== 'string') return this.close('parse error');
    this.#session = session;
    this.#state = 'open';
    this.#watch();
    this.dispatch('open');
    this.#flush();
  }

  /** The server pings every `pingInterval`; silence for longer than that and `pingTimeout` is a lost connection. */
  #watch() {
    const { pingInterval, pingTimeout } = this.#session;
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.close('ping timeout'), pingInterval + pingTimeout);
  }

  #flush() {
    if (this.#state !== 'open' || this.#paused) return;
    if (this.#ws) for (const packet of this.#queue.splice(0)) this.#ws.send(packet);
    else if (this.#queue.length) this.#posting ??= this.#post();
  }

  async #request(method, body) {
    const response = await fetch(this.#address('polling'), {
      method,
      body,
      headers: body === undefined ? {} : { 'Content-Type': 'text/plain;charset=UTF-8' },
      cache: 'no-store',
      keepalive: body === '1',
      signal: this.#requests.signal,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return text;
  }

  /** One GET after the other; the first one is the handshake. */
  #poll() {
    const loop = async () => {
      while (this.#state !== 'closed' && !this.#paused) {
        const body = await this.#request('GET');
        for (const packet of body.split(SEPARATOR)) this.#receive(packet);
      }
    };
    this.#polling = loop()
      .catch(() => this.close('transport error'))
      .finally(() => (this.#polling = null));
  }

  /** One POST after the other, each with as many packets as the server takes at once. */
  async #post() {
    try {
      while (this.#queue.length && this.#state === 'open' && !this.#paused) {
        let body = toText(this.#queue.shift());
        let room = (this.#session.maxPayload ?? Infinity) - byteLength(body);
        while (this.#queue.length) {
          const next = toText(this.#queue[0]);
          room -= 1 + byteLength(next);
          if (room < 0) break;
          body += SEPARATOR + next;
          this.#queue.shift();
        }
        await this.#request('POST', body);
      }
    } catch {
      this.close('transport error');
    }
    this.#posting = null;
  }

  /**
   * Polling → WebSocket: probe the new transport, let the requests in progress end (the server answers the
   * held GET with a noop), then switch. Until the `5` is sent every failure leaves the polling session as it was.
   */
  upgrade() {
    const wanted = this.#options.transports.includes('websocket') && this.#session.upgrades?.includes('websocket');
    if (!wanted || this.transport === 'websocket') return;
    const ws = new WebSocket(this.#address('websocket'));
    const abandon = (this.#abandonUpgrade = () => {
      clearTimeout(timer);
      ws.onopen = ws.onmessage = ws.onclose = this.#abandonUpgrade = null;
      ws.close();
      this.#paused = false;
      if (this.#state === 'closed') return;
      if (!this.#polling) this.#poll();
      this.#flush();
    });
    const timer = setTimeout(abandon, PROBE_TIMEOUT);
    ws.onopen = () => ws.send('2probe');
    ws.onclose = abandon;
    ws.onmessage = async ({ data }) => {
      if (data !== '3probe') return abandon();
      this.#paused = true;
      await Promise.all([this.#polling, this.#posting]);
      if (this.#abandonUpgrade !== abandon || ws.readyState !== WebSocket.OPEN) return;
      clearTimeout(timer);
      this.#abandonUpgrade = null;
      ws.send('5');
      this.#adopt(ws);
      this.transport = 'websocket';
      this.#paused = false;
      this.#flush();
      this.dispatch('upgrade', this.transport);
    };
  }

  #adopt(ws) {
    this.#ws = ws;
    ws.binaryType = 'arraybuffer';
    ws.onmessage = ({ data }) => this.#receive(data);
    ws.onclose = () => this.close(this.#session ? 'transport close' : 'transport error');
  }
}

// --- Socket.IO: one namespace, events, acknowledgements, reconnection --------------------------------

const CONNECT = 0;
const DISCONNECT = 1;
const EVENT = 2;
const ACK = 3;
const CONNECT_ERROR = 4;
const BINARY = 3; // added to EVENT and ACK when attachments follow

export class Socket extends Emitter {
  id = null;
  connected = false;
  #options;
  #engine = null;
  #active = false; //       the application wants a connection
  #attempt = 0;
  #retryTimer = 0;
  #connectTimer = 0;
  #acks = new Map(); //     id → { resolve, reject, sent }
  #nextId = 0;
  #partial = null; //       a binary packet whose attachments are still arriving

  constructor(options = {}) {
    super();
    this.#options = { ...DEFAULTS, ...options };
    globalThis.addEventListener?.('online', () => this.#retryTimer && this.connect());
  }

  /** 'polling' or 'websocket'; null without a connection. */
  get transport() {
    return this.connected ? this.#engine.transport : null;
  }

  /** Connects, or ends the wait before the next attempt. */
  connect() {
    if (this.#engine) return this;
    if (!this.#active) this.#attempt = 0;
    this.#active = true;
    this.#open();
    return this;
  }

  disconnect() {
    this.#active = false;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    // Polling says goodbye with a packet of the session, in the one request that it may make at a time.
    if (this.transport === 'websocket') this.#write(DISCONNECT);
    this.#engine?.close('io client disconnect', { polite: true });
    return this;
  }

  /** Sends an event; a function as the last argument receives the answer. False (and nothing is kept) without a connection. */
  emit(event, ...args) {
    if (RESERVED.has(event)) throw new Error(`"${event}" is a reserved event name`);
    const ack = typeof args.at(-1) === 'function' ? { resolve: args.pop(), reject() {} } : null;
    return this.connected && this.#event(event, args, ack) !== null;
  }

  /** Sends an event and returns a promise of the first value of its answer. */
  request(event, ...args) {
    return new Promise((resolve, reject) => {
      if (!this.connected) throw new Error('not connected');
      const id = this.#event(event, args, { resolve: (...reply) => done(resolve, reply[0]), reject: (error) => done(reject, error) });
      const timer = setTimeout(() => this.#acks.delete(id) && reject(new Error('no answer in time')), this.#options.requestTimeout);
      const done = (settle, value) => (clearTimeout(timer), settle(value));
    });
  }

  #event(event, args, ack) {
    const id = ack ? this.#nextId++ : undefined;
    if (ack) this.#acks.set(id, { ...ack, sent: performance.now() });
    this.#write(EVENT, [event, ...args], id);
    return id;
  }

  #write(type, data, id) {
    const attachments = [];
    const replacer = (_, value) => (isBinary(value) ? { _placeholder: true, num: attachments.push(value) - 1 } : value);
    const json = data === undefined ? '' : JSON.stringify(data, replacer);
    const kind = attachments.length ? `${type + BINARY}${attachments.length}-` : `${type}`;
    const namespace = this.#options.namespace === '/' ? '' : `${this.#options.namespace},`;
    this.#engine.send([kind + namespace + (id ?? '') + json, ...attachments]);
  }

  #open() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    const engine = (this.#engine = new Engine(this.#options));
    this.#connectTimer = setTimeout(() => engine.close('timeout'), this.#options.connectTimeout);
    engine.on('open', () => {
      const { auth } = this.#options;
      this.#write(CONNECT, typeof auth === 'function' ? auth() : auth);
    });
    engine.on('upgrade', (transport) => this.dispatch('upgrade', transport));
    engine.on('close', (reason) => this.#closed(reason));
    engine.on('message', (frame) => {
      try {
        if (typeof frame === 'string') this.#text(frame);
        else this.#attachment(frame);
      } catch {
        engine.close('parse error');
      }
    });
  }

  #closed(reason) {
    clearTimeout(this.#connectTimer);
    const wasConnected = this.connected;
    this.#engine = this.#partial = this.id = null;
    this.connected = false;
    const lost = [...this.#acks.values()];
    this.#acks.clear();
    for (const { reject } of lost) reject(new Error('connection lost'));
    if (wasConnected) this.dispatch('disconnect', reason);
    else if (this.#active) this.dispatch('connect_error', Object.assign(new Error(reason), { refused: false }));
    // A listener may have called connect() or disconnect() meanwhile.
    if (!this.#active || this.#engine || !this.#options.reconnect) return;
    const { reconnectDelay, reconnectDelayMax, jitter } = this.#options;
    const delay = Math.min(reconnectDelay * 2 ** this.#attempt, reconnectDelayMax) * (1 + jitter * (2 * Math.random() - 1));
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#open(), delay);
    this.dispatch('reconnecting', { attempt: this.#attempt, delay });
  }

  /** `<type>[<attachments>-][<namespace>,][<id>][<json>]` */
  #text(frame) {
    const match = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*)(?:,|$))?(\d+)?(.*)$/s.exec(frame);
    if (!match || this.#partial) throw new Error('parse error');
    const [, digit, count, namespace = '/', id, json] = match;
    const binary = Number(digit) > CONNECT_ERROR;
    const packet = { type: Number(digit) - (binary ? BINARY : 0), namespace, id: id && Number(id), json };
    if (binary !== (count !== undefined)) throw new Error('parse error');
    if (!binary) return this.#packet(packet);
    if (count < 1 || count > MAX_ATTACHMENTS) throw new Error('parse error');
    this.#partial = { packet, missing: Number(count), attachments: [] };
  }

  #attachment(bytes) {
    if (!this.#partial) throw new Error('parse error');
    const { packet, attachments } = this.#partial;
    attachments.push(bytes);
    if (--this.#partial.missing) return;
    this.#partial = null;
    this.#packet(packet, attachments);
  }

  #packet({ type, namespace, id, json }, attachments) {
    const data = json === '' ? undefined : JSON.parse(json, attachments && ((_, value) => restore(value, attachments)));
    if (namespace !== this.#options.namespace) return;
    const valid = {
      [CONNECT]: typeof data?.sid === 'string',
      [DISCONNECT]: data === undefined,
      [EVENT]: Array.isArray(data) && ['string', 'number'].includes(typeof data[0]) && !RESERVED.has(data[0]),
      [ACK]: Array.isArray(data) && id !== undefined,
      [CONNECT_ERROR]: data !== undefined,
    };
    if (!valid[type]) throw new Error('parse error');
    if (type === CONNECT) {
      clearTimeout(this.#connectTimer);
      this.#attempt = 0;
      this.id = data.sid;
      this.connected = true;
      this.dispatch('connect');
      this.#engine?.upgrade(); // not earlier: a refused connection needs no second transport
    } else if (type === DISCONNECT) {
      this.#active = false;
      this.#engine.close('io server disconnect', { polite: true });
    } else if (type === CONNECT_ERROR) {
      this.#active = false;
      this.#engine.close('refused', { polite: true });
      const error = new Error(typeof data === 'string' ? data : data?.message);
      this.dispatch('connect_error', Object.assign(error, { data: data?.data, refused: true }));
    } else if (type === ACK) {
      const ack = this.#acks.get(id);
      if (!ack || !this.#acks.delete(id)) return;
      this.dispatch('latency', performance.now() - ack.sent);
      guard(() => ack.resolve(...data));
    } else if (this.connected && !LOCAL_EVENTS.has(data[0])) {
      const [event, ...args] = data;
      const engine = this.#engine;
      let open = id !== undefined;
      const reply = (...values) => {
        if (open && this.#engine === engine) this.#write(ACK, values, id);
        open = false;
      };
      this.dispatch(event, ...args, ...(open ? [reply] : []));
    }
  }
}

// --- Helpers -----------------------------------------------------------------------------------------

function guard(action) {
  try {
    action();
  } catch (error) {
    (globalThis.reportError ?? console.error)(error);
  }
}

function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function isBinary(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/** Puts an attachment in the place of its placeholder. */
function restore(value, attachments) {
  if (value?._placeholder !== true) return value;
  if (!isBinary(attachments[value.num])) throw new Error('illegal attachments');
  return attachments[value.num];
}

function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/** A packet as it appears in a polling body. */
function toText(packet) {
  if (typeof packet === 'string') return packet;
  const bytes = packet instanceof ArrayBuffer ? new Uint8Array(packet) : new Uint8Array(packet.buffer, packet.byteOffset, packet.byteLength);
  let binary = '';
  for (let at = 0; at < bytes.length; at += 0x8000) binary += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return `b${btoa(binary)}`;
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
}
