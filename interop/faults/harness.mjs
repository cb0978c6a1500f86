// What the faults share: a server that can be stopped, killed and asked what it holds, and clients of it.
//
//   FAULT_SERVER  the binary (run.sh builds it)
//   FAULTS_LONG=1 more rounds
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const require = createRequire(new URL("../js/package.json", import.meta.url));
const { io } = require("socket.io-client");
export const WebSocket = require("ws");
export { pause };

export const LONG = process.env.FAULTS_LONG === "1";
const BINARY = process.env.FAULT_SERVER;
if (!BINARY) throw new Error("set FAULT_SERVER to the binary, or use interop/faults/run.sh");

/** Waits until `condition()` is truthy, and returns its value. */
export async function until(condition, what, patience = 30_000) {
  const end = performance.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await pause(10);
  }
}

/** A folder that the test's end removes. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "wirebird-faults-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** The server as a process of its own. `wrapper` is a command in front of it, `stdio` where its output goes. */
export class Server {
  constructor(t, { args = [], wrapper = [], env = {}, stderr = "ignore" } = {}) {
    Object.assign(this, { args, wrapper, env, stderr, address: undefined });
    t.after(() => this.kill());
  }

  static async start(t, options) {
    const server = new Server(t, options);
    await server.start();
    return server;
  }

  /** Starts it, again at the address that it had. */
  async start() {
    const listen = this.address ?? this.listen ?? "127.0.0.1:0";
    const [command, ...args] = [...this.wrapper, BINARY, "--listen", listen, ...this.args];
    const child = spawn(command, args, { stdio: ["pipe", "pipe", this.stderr], env: { ...process.env, RUST_BACKTRACE: "0", ...this.env } });
    this.child = child;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stdin.on("error", () => {});
    this.ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    const { value } = await this.lines.next();
    if (!value) throw new Error(`the server did not start: ${command} ${args.join(" ")}`);
    this.address = JSON.parse(value).address;
    this.url = `http://${this.address}`;
  }

  async kill(signal = "SIGKILL") {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    return this.ended;
  }

  signal(name) {
    this.child.kill(name);
  }

  get alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Sessions, sockets, rooms, tasks. */
  async stats() {
    this.child.stdin.write("\n");
    const { value, done } = await this.lines.next();
    if (done) throw new Error("the server has ended");
    return JSON.parse(value);
  }

  /** Descriptors that are open. */
  get descriptors() {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  /** Bytes of memory that it has. */
  get memory() {
    const status = readFileSync(`/proc/${this.child.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  }

  /** Seconds of processor time so far. */
  get cpu() {
    const stat = readFileSync(`/proc/${this.child.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Nobody is there, and nothing of those who were: `before` are the descriptors that were open without clients. */
  async emptied(before, patience) {
    let last;
    await until(async () => {
      last = { ...(await this.stats()), descriptors: this.descriptors };
      return last.sessions === 0 && last.sockets === 0 && last.rooms === 0 && last.descriptors <= before;
    }, "the server is empty", patience).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}, ${before} descriptors before`);
    });
  }
}

export const MODES = [["websocket"], ["polling"], ["polling", "websocket"]];

/** A client; it comes back by itself, quickly, unless `options` say otherwise. The test's end lets it go. */
export function client(t, url, options = {}) {
  const socket = io(url, {
    forceNew: true,
    reconnectionDelay: 100,
    reconnectionDelayMax: 500,
    ...options,
  });
  t.after(() => socket.disconnect());
  return socket;
}

/** `n` clients in all modes, connected. */
export async function clients(t, url, n, options = {}) {
  const list = Array.from({ length: n }, (_, i) => client(t, url, { transports: MODES[i % 3], ...options }));
  await connected(list);
  return list;
}

export const connected = (list, patience) =>
  until(() => list.every((socket) => socket.connected), `${list.length} clients are connected`, patience);

/** `client` sends ids from 0 on, each with an acknowledgement, until `stop()`; what became of each is in `fate`. */
export class Sender {
  constructor(socket, client, { every = 20, timeout = 5000, event = "note" } = {}) {
    Object.assign(this, { socket, client, every, timeout, event, fate: [], acked: [], running: true });
    this.done = this.#run();
  }

  async #run() {
    const open = [];
    while (this.running) {
      const id = this.fate.length;
      this.fate.push("open");
      open.push(this.#send(id));
      await pause(this.every * (0.5 + Math.random()));
    }
    await Promise.all(open);
  }

  async #send(id) {
    try {
      const answer = await this.socket.timeout(this.timeout).emitWithAck(this.event, this.client, id);
      if (answer !== id) throw new Error(`the acknowledgement of ${id} says ${answer}`);
      this.fate[id] = "acked";
      this.acked.push(id);
    } catch (error) {
      this.fate[id] = error.message;
    }
  }

  stop() {
    this.running = false;
    return this.done;
  }
}

/** What handlers have run, by client: a list of ids in the order of the journal. */
export function journal(path, n) {
  const ran = Array.from({ length: n }, () => []);
  for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
    const [client, id] = line.split(" ").map(Number);
    ran[client].push(id);
  }
  return ran;
}

/** Whether a list rises strictly: nothing twice, nothing out of order. */
export const rises = (list) => list.every((value, i) => i === 0 || value > list[i - 1]);
