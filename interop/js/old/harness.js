// Clients of an older time: how they differ from those that `../harness.js` knows.
import { createRequire } from "node:module";
import { describe } from "node:test";
import { io as io4 } from "socket.io-client";
import { io as io3 } from "socket.io-client-v3";
import { URL_BASE, next, until } from "../harness.js";

const require = createRequire(import.meta.url);
const version = (name) => require(`${name}/package.json`).version;

/** Every generation of the official client; `old` ones speak Engine.IO 3. */
export const CLIENTS = {
  v1: { io: require("socket.io-client-v1"), version: version("socket.io-client-v1"), old: true },
  v2: { io: require("socket.io-client-v2"), version: version("socket.io-client-v2"), old: true },
  v3: { io: io3, version: version("socket.io-client-v3"), old: false },
  v4: { io: io4, version: version("socket.io-client"), old: false },
};

export const MODES = {
  polling: { transports: ["polling"], upgrade: false },
  // Browsers that cannot receive binary, and some proxies, make clients ask for base64.
  "polling in base64": { transports: ["polling"], upgrade: false, forceBase64: true },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

/** Declares `body` once for every old client and mode. Those that mostly wait can do so side by side. */
export function matrix(title, body, { concurrency = 1 } = {}) {
  describe(title, { concurrency }, () => {
    for (const key of ["v1", "v2"]) {
      for (const mode of Object.keys(MODES)) {
        const lab = new Lab(key, mode);
        describe(lab.name, () => body(lab));
      }
    }
  });
}

/** One client library in one mode. */
export class Lab {
  constructor(key, mode) {
    this.key = key;
    this.client = CLIENTS[key];
    this.mode = mode;
    this.name = `socket.io-client ${this.client.version}, ${mode}`;
    this.transport = mode.startsWith("polling") ? "polling" : "websocket";
  }

  /** Opens a socket; its events are kept in `socket.inbox` as arrays. The test's end closes it. */
  open(t, { namespace = "/", ...options } = {}) {
    const socket = this.client.io(URL_BASE + namespace, {
      forceNew: true,
      reconnection: false,
      ...MODES[this.mode],
      ...options,
    });
    t.after(() => {
      socket.io.reconnection(false);
      socket.disconnect();
      socket.io.engine?.close();
    });
    return record(socket);
  }

  async connect(t, options) {
    const socket = this.open(t, options);
    if (!socket.connected) await next(socket, "connect");
    return socket;
  }

  /** As {@link connect}, then waits for the final transport. */
  async settled(t, options) {
    const socket = await this.connect(t, options);
    await until(() => socket.io.engine.transport.name === this.transport, `transport ${this.transport}`);
    return socket;
  }

  /** A second namespace on the connection of `socket`. */
  also(t, socket, namespace, options) {
    const other = record(socket.io.socket(namespace, options));
    t.after(() => other.disconnect());
    return other;
  }
}

/** Keeps every event of a socket; clients before 3.0 have no catch-all. */
function record(socket) {
  socket.inbox = [];
  const onevent = socket.onevent;
  socket.onevent = function (packet) {
    socket.inbox.push(packet.data ?? []);
    onevent.call(this, packet);
  };
  return socket;
}
