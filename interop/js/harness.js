// What every test file shares: the clients under test, the transports they are
// run with, and waits that end on a condition instead of on a clock.
//
//   WIREBIRD_URL      the server, as `http://127.0.0.1:PORT`
//   WIREBIRD_MODES    comma list of polling, websocket, upgrade (default: all)
//   WIREBIRD_PARSER=msgpack  the clients speak MessagePack
//   WIREBIRD_CLIENTS  comma list of v4, v3                      (default: both)
//   WIREBIRD_REFERENCE=node  the server is Node's: leave out what it is known to do wrong
import { describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { createRequire } from "node:module";
import { io as io4 } from "socket.io-client";
import { io as io3 } from "socket.io-client-v3";
import msgpack from "socket.io-msgpack-parser";

const version = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;

export const URL_BASE = (process.env.WIREBIRD_URL ?? "").replace(/\/+$/, "");
if (!URL_BASE) throw new Error("set WIREBIRD_URL to the address of the interop server");

const CLIENTS = {
  v4: { name: `socket.io-client ${version("socket.io-client")}`, io: io4, modern: true },
  v3: { name: `socket.io-client ${version("socket.io-client-v3")}`, io: io3, modern: false },
};
const PARSERS = { "": {}, msgpack: { parser: msgpack } };
const parser = PARSERS[process.env.WIREBIRD_PARSER ?? ""];
if (!parser) throw new Error(`unknown parser ${process.env.WIREBIRD_PARSER}`);
/** Whether the clients speak MessagePack. */
export const IN_MSGPACK = parser.parser === msgpack;
const TRANSPORTS = {
  polling: { transports: ["polling"], upgrade: false },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

const chosen = (variable, all) => {
  const names = (process.env[variable] ?? "").split(",").filter(Boolean);
  for (const name of names) if (!all.includes(name)) throw new Error(`${variable}: unknown "${name}"`);
  return names.length ? names : all;
};
const MODES = chosen("WIREBIRD_MODES", Object.keys(TRANSPORTS));
const VERSIONS = chosen("WIREBIRD_CLIENTS", Object.keys(CLIENTS));

/** How long a condition may take before the test fails. Generous: it is only ever waited for in full by a failure. */
const PATIENCE = 20_000;
const TEST_TIMEOUT = 60_000;

/**
 * A test with the common time limit; `fn` gets node's test context. `notOnNode` is the reason
 * why Node's own server fails it: set WIREBIRD_REFERENCE=node to run the rest against that one.
 * `notInMsgPack` is the reason why it cannot be tried with MessagePack.
 */
export function test(name, fn, { notOnNode, notInMsgPack } = {}) {
  const skip = (process.env.WIREBIRD_REFERENCE === "node" && notOnNode) || (IN_MSGPACK && notInMsgPack);
  it(name, { timeout: TEST_TIMEOUT, skip: skip || false }, fn);
}

/**
 * Declares `body` once for every client version and transport mode. `body` gets the
 * {@link Lab} through which its tests open connections.
 */
export function matrix(title, body, { modes = MODES, concurrency = 1 } = {}) {
  for (const key of VERSIONS) {
    for (const mode of MODES.filter((mode) => modes.includes(mode))) {
      const lab = new Lab(CLIENTS[key], mode);
      describe(`${title} (${lab.name})`, { concurrency }, () => body(lab));
    }
  }
}

/** One client library in one transport mode. */
class Lab {
  constructor(client, mode) {
    this.client = client;
    this.mode = mode;
    this.name = `${client.name}, ${mode}`;
    /** Has `timeout()`, `emitWithAck()` and other things that came with 4.x. */
    this.modern = client.modern;
    /** The transport that a connection ends up with. */
    this.transport = mode === "polling" ? "polling" : "websocket";
  }

  /** Opens a socket without waiting; its events are kept in `socket.inbox` as arrays. The test's end closes it. */
  open(t, options = {}) {
    const { namespace = "/", ...rest } = options;
    const socket = this.client.io(URL_BASE + namespace, {
      forceNew: true,
      reconnection: false,
      timeout: PATIENCE,
      ...TRANSPORTS[this.mode],
      ...parser,
      ...rest,
    });
    t.after(() => {
      socket.io.reconnection(false);
      socket.disconnect();
      socket.io.engine?.close();
    });
    return record(socket);
  }

  /** Opens a socket and waits until its namespace is connected. An upgrade may still be under way. */
  async connect(t, options) {
    const socket = this.open(t, options);
    await connected(socket);
    return socket;
  }

  /** As {@link connect}, then waits for the final transport. */
  async settled(t, options) {
    const socket = await this.connect(t, options);
    await this.settle(socket);
    return socket;
  }

  /** Waits for the final transport of `socket`'s connection. */
  async settle(socket) {
    await until(() => socket.io.engine.transport.name === this.transport, `transport ${this.transport}`);
  }

  /** A second namespace on the connection of `socket`. */
  also(t, socket, namespace, options) {
    const other = record(socket.io.socket(namespace, options));
    t.after(() => other.disconnect());
    return other;
  }
}

function record(socket) {
  socket.inbox = [];
  socket.onAny((...event) => socket.inbox.push(event));
  return socket;
}

/** The arguments of every event called `name` that `socket` has received so far. */
export function received(socket, name) {
  return socket.inbox.filter(([event]) => event === name).map(([, ...args]) => args);
}

/** Waits until `socket` is connected; a refusal becomes the rejection. */
export async function connected(socket) {
  if (socket.connected) return;
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => finish(reject, new Error("not connected in time")), PATIENCE);
    const onConnect = () => finish(resolve);
    const onError = (error) => finish(reject, error);
    const finish = (settle, value) => {
      clearTimeout(timer);
      socket.off("connect", onConnect);
      socket.off("connect_error", onError);
      settle(value);
    };
    socket.on("connect", onConnect);
    socket.on("connect_error", onError);
  });
}

/**
 * Connects a socket again that was the only one of its connection. A 3.x client ignores `connect()`
 * while its old connection is still closing, so this waits for that first.
 */
export async function reconnect(socket) {
  await until(() => socket.io.engine.readyState === "closed", "the old connection closed");
  socket.connect();
  await connected(socket);
}

/** The arguments of the next `event`. Call it before the action that causes the event. */
export function next(emitter, event, patience = PATIENCE) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      emitter.off(event, listener);
      reject(new Error(`no "${event}" within ${patience} ms`));
    }, patience);
    const listener = (...args) => {
      clearTimeout(timer);
      emitter.off(event, listener);
      resolve(args);
    };
    emitter.on(event, listener);
  });
}

/** Waits until `condition()` is truthy and returns its value. */
export async function until(condition, what, patience = PATIENCE) {
  const end = performance.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Emits with an acknowledgement and returns all of its arguments. */
export function callAll(socket, event, ...args) {
  return new Promise((resolve, reject) => {
    const fail = (why) => {
      clearTimeout(timer);
      socket.off("disconnect", gone);
      reject(new Error(`no acknowledgement of "${event}": ${why}`));
    };
    const gone = (reason) => fail(`disconnected (${reason})`);
    const timer = setTimeout(() => fail(`waited ${PATIENCE} ms`), PATIENCE);
    socket.on("disconnect", gone);
    socket.emit(event, ...args, (...answer) => {
      clearTimeout(timer);
      socket.off("disconnect", gone);
      resolve(answer);
    });
  });
}

/** Emits with an acknowledgement and returns its first argument. */
export async function call(socket, event, ...args) {
  return (await callAll(socket, event, ...args))[0];
}

/**
 * The reason with which the server's disconnect handler ran for `id`, asked over `observer`.
 * Also checks that the handler ran only once.
 */
export async function serverReason(observer, id) {
  const log = await until(async () => {
    const log = (await call(observer, "disconnects")).filter(([sid]) => sid === id);
    return log.length ? log : null;
  }, `a disconnect of ${id} seen by the server`);
  if (log.length !== 1) throw new Error(`the disconnect handler ran ${log.length} times: ${JSON.stringify(log)}`);
  return log[0][1];
}

/** Buffers compare equal to what the clients deliver (Buffer, Uint8Array, ArrayBuffer), at any depth. */
export function plain(value) {
  if (value instanceof ArrayBuffer) return plain(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    return { binary: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex") };
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

/** As `deepEqual`, for long lists: shows only the first difference. */
export function sameList(actual, expected, what) {
  const at = expected.findIndex((item, i) => !isDeepStrictEqual(actual[i], item));
  if (at < 0 && actual.length === expected.length) return;
  const i = at < 0 ? expected.length : at;
  const near = (list) => JSON.stringify(list.slice(Math.max(0, i - 2), i + 3));
  throw new Error(`${what}: ${actual.length} of ${expected.length}, first difference at ${i}: got …${near(actual)}…, not …${near(expected)}…`);
}

/** `length` bytes that look random and are the same in every run. */
export function bytes(length, seed = 1) {
  const buffer = Buffer.allocUnsafe(length);
  for (let i = 0, x = seed >>> 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    buffer[i] = x >>> 24;
  }
  return buffer;
}

/** Whether the client can write a number: the encoder of MessagePack writes whole numbers as integers of 64 bits, the greater ones too. */
export const isWritable = (value) => !IN_MSGPACK || !Number.isInteger(value) || Math.abs(value) < 2 ** 63;

/** 0, 1, … n-1. */
export const range = (n) => Array.from({ length: n }, (_, i) => i);
