// The servers behind the balancer. run.sh starts them and says in WIREBIRD_SERVERS, a line for each, name, address
// and process id, and in WIREBIRD_SERVER_COMMAND how to start one again.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import net from "node:net";
import { createRequire } from "node:module";

const require = createRequire(new URL("../js/package.json", import.meta.url));
export const { io } = require("socket.io-client");
export const WebSocket = require("ws");

/** The balancer. */
export const URL_BASE = process.env.WIREBIRD_URL;

/** nginx looks at the first three bytes of an address. */
export const addresses = (count) => [...Array(count).keys()].map((number) => `127.0.${number + 10}.1`);

/** Waits until `condition()` is truthy, and returns that. */
export const until = async (condition, what, patience = 20_000) => {
  const deadline = Date.now() + patience;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `not within ${patience} ms: ${typeof what === "function" ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

/** An official client that comes from an address; the test's end closes it. Browsers keep cookies by themselves. */
export const connect = (t, from, options) => {
  const agent = new http.Agent({ localAddress: from });
  const socket = io(URL_BASE, { forceNew: true, withCredentials: true, agent, ...options });
  t.after(() => {
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close();
  });
  return socket;
};

/** One of the servers. */
export class Backend {
  constructor(name, address, pid) {
    Object.assign(this, { name, address, pid: Number(pid) });
  }

  static all() {
    return process.env.WIREBIRD_SERVERS.trim().split("\n").map((line) => new Backend(...line.split(" ")));
  }

  /** Whether it takes connections. */
  listens() {
    const { hostname, port } = new URL(this.address);
    return new Promise((resolve) => {
      const socket = net.connect({ host: hostname, port });
      const end = (listens) => {
        socket.destroy();
        resolve(listens);
      };
      socket.on("connect", () => end(true)).on("error", () => end(false));
    });
  }

  /** Closes it as systemd would, and waits until it is gone. */
  async stop() {
    process.kill(this.pid, "SIGTERM");
    await until(async () => !(await this.listens()), `${this.name} no longer listens`);
  }

  /** Starts it again where it was. */
  async start() {
    const { hostname, port } = new URL(this.address);
    const command = `exec ${process.env.WIREBIRD_SERVER_COMMAND} --behind-proxy ${this.name} --host ${hostname} --port ${port}`;
    const child = spawn("bash", ["-c", command], { stdio: ["ignore", "ignore", "inherit"] });
    this.pid = child.pid;
    // It may outlive a test, and must not keep the tests from ending.
    child.unref();
    process.on("exit", () => child.kill("SIGKILL"));
    await until(() => this.listens(), `${this.name} listens`);
  }
}
