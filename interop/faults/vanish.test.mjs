// Peers that vanish: their machine is cut off, and no FIN and no RST ever comes. The clients live in a network namespace
// of their own, and its link goes down.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Server, client, connected, pause, until } from "./harness.mjs";

const INTERVAL = 1000;
const TIMEOUT = 2000;
const WRITE = TIMEOUT;
// A machine with other work is late, and timers are a little.
const SLACK = 1000;

const ip = (...args) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] }).toString();
const possible = () => {
  const name = `wbprobe${process.pid}`;
  const probe = spawnSync("sh", ["-c", `ip link add ${name} type veth peer name ${name}b && ip link del ${name} && ip netns add ${name} && ip netns del ${name}`]);
  return probe.status === 0;
};

/** A network namespace with one link to this machine: `here` and `there` are its two addresses. */
function island(t) {
  const name = `wb${process.pid}`;
  const net = `10.213.${process.pid % 256}`;
  const island = { name, here: `${net}.1`, there: `${net}.2` };
  ip("netns", "add", name);
  t.after(() => spawnSync("ip", ["netns", "del", name]));
  ip("link", "add", `${name}h`, "type", "veth", "peer", "name", `${name}p`, "netns", name);
  t.after(() => spawnSync("ip", ["link", "del", `${name}h`]));
  ip("addr", "add", `${island.here}/24`, "dev", `${name}h`);
  ip("link", "set", `${name}h`, "up");
  ip("-n", name, "addr", "add", `${island.there}/24`, "dev", `${name}p`);
  ip("-n", name, "link", "set", `${name}p`, "up");
  island.cut = () => ip("-n", name, "link", "set", `${name}p`, "down");
  return island;
}

/** The clients, as a process in the namespace. Resolves when all of them are in the state that they are to vanish in. */
async function inhabitants(t, { name }, url) {
  const script = fileURLToPath(new URL("vanish-clients.mjs", import.meta.url));
  const child = spawn("ip", ["netns", "exec", name, process.execPath, script, url], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next();
  return JSON.parse(value);
}

const skip = process.platform === "linux" && possible() ? false : "network namespaces need root";

describe("peers that vanish without a FIN", { skip }, () => {
  it("are gone within interval and timeout, and their descriptors with them", { timeout: 120_000 }, async (t) => {
    const net = island(t);
    const server = new Server(t, { args: ["--ping-interval", `${INTERVAL}`, "--ping-timeout", `${TIMEOUT}`, "--write-timeout", `${WRITE}`] });
    server.listen = "0.0.0.0:0";
    await server.start();
    const port = server.address.split(":")[1];
    const neighbour = client(t, `http://127.0.0.1:${port}`, { transports: ["websocket"] });
    await connected([neighbour]);
    const before = server.descriptors;
    const there = await inhabitants(t, net, `http://${net.here}:${port}`);
    assert.equal((await server.stats()).sockets, there.clients + 1);
    const descriptors = server.descriptors;
    net.cut();
    const cut = performance.now();
    await until(async () => (await server.stats()).sessions <= 1 + there.busy, "their sessions are gone", INTERVAL + TIMEOUT + SLACK);
    const sessions = performance.now() - cut;
    assert.equal((await server.stats()).sessions, 1 + there.busy, "those that are not read from need no pong");
    await until(() => server.descriptors <= before + there.busy, "their descriptors are closed", INTERVAL + TIMEOUT + SLACK - sessions).catch((error) => {
      throw new Error(`${error.message}: ${server.descriptors} of ${descriptors}, ${before} before`);
    });
    const closed = performance.now() - cut;
    // A ping that nobody takes, and the next one.
    const last = INTERVAL + 2 * WRITE + TIMEOUT + SLACK - closed;
    await until(async () => (await server.stats()).sessions === 1, "those that are not read from are gone, too", last);
    const busy = performance.now() - cut;
    assert.ok(server.descriptors <= before, `${server.descriptors} of ${descriptors} descriptors, ${before} before`);
    assert.deepEqual({ ...(await server.stats()), tasks: 0 }, { sessions: 1, sockets: 1, rooms: 0, tasks: 0 });
    assert.equal(await neighbour.emitWithAck("echo", "there"), "there");
    t.diagnostic(
      `${there.clients} clients on ${descriptors - before} connections (${there.unsent} of them with unsent data): ` +
        `sessions gone after ${sessions.toFixed(0)} ms, descriptors after ${closed.toFixed(0)} ms, ` +
        `${there.busy} that are not read from after ${busy.toFixed(0)} ms`,
    );
  });
});
