// Servers that drain and close under official clients, which come back to another one by themselves.
//
//   WIREBIRD_DRAINING_COMMAND  the example `draining`
//   WIREBIRD_PYTHON            a Python with python-socketio
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Balancer } from "./balancer.mjs";

const { io } = createRequire(new URL("../js/package.json", import.meta.url))("socket.io-client");
const WAYS = [["polling"], ["websocket"], ["polling", "websocket"]];
const PYTHON_CLIENT = fileURLToPath(new URL("client.py", import.meta.url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const until = async (condition, what, patience = 30_000) => {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not within ${patience} ms: ${typeof what === "function" ? what() : what}`);
    await pause(10);
  }
};

/** Starts a server that drains over `window` seconds. */
const startServer = async (t, window) => {
  const command = `exec ${process.env.WIREBIRD_DRAINING_COMMAND} 127.0.0.1:0`;
  const child = spawn("bash", ["-c", command], {
    stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, DRAIN: `${window}` },
  });
  const server = { child, left: [] };
  server.ended = new Promise((resolve) => child.on("exit", (code) => resolve((server.code = code))));
  t.after(() => child.kill("SIGKILL"));
  createInterface({ input: child.stdout }).on("line", (line) => {
    server.address ??= /http:\/\/\S+/.exec(line)?.[0];
    if (line.startsWith("a client left: ")) server.left.push(line.slice(15));
  });
  await until(() => server.address, "a server");
  return server;
};

/** What a client has seen, whichever language it is written in. */
class Client {
  connects = 0;
  sent = 0;
  answered = 0;
  failed = 0;
  /** When it was disconnected, and why. */
  ends = [];

  constructor(name) {
    this.name = name;
  }

  toString() {
    return `${this.name}: connected ${this.connects} times, ended by ${this.ends.map(({ reason }) => reason)}, `
      + `${this.answered} answered, ${this.failed} failed`;
  }
}

const javascript = (t, url, transports) => {
  const client = new Client(`JavaScript over ${transports}`);
  const socket = io(url, { transports, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, randomizationFactor: 0 });
  socket.on("connect", () => client.connects++);
  socket.on("disconnect", (reason) => client.ends.push({ at: Date.now(), reason }));
  let over = false;
  const sends = (async () => {
    while (!over) {
      await pause(100);
      if (!socket.connected) continue;
      client.sent++;
      await socket.timeout(3000).emitWithAck("work", 20).then(
        (answer) => (assert.equal(answer, "done"), client.answered++), () => client.failed++);
    }
  })();
  client.stop = async () => {
    over = true;
    await sends;
    socket.disconnect();
  };
  t.after(() => {
    over = true;
    socket.disconnect();
  });
  return client;
};

const python = (t, url, transports) => {
  const client = new Client(`Python over ${transports}`);
  const child = spawn(process.env.WIREBIRD_PYTHON, [PYTHON_CLIENT, url, transports.join()], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  t.after(() => child.kill("SIGKILL"));
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { connected, disconnected, sent, answered, failed } = JSON.parse(line);
    if (connected) client.connects++;
    if (sent) client.sent++;
    if (disconnected) client.ends.push({ at: Date.now(), reason: disconnected });
    if (answered) client.answered++;
    if (failed) client.failed++;
  });
  client.stop = async () => {
    child.stdin.end();
    assert.equal(await ended, 0);
  };
  return client;
};

/** Clients of every kind on server `a`, and a server `b` that they can go to. */
const setUp = async (t, window, count) => {
  const balancer = await Balancer.start();
  t.after(() => balancer.stop());
  const a = await startServer(t, window);
  balancer.add(a);
  const clients = [];
  for (let number = 0; number < count; number++) clients.push(javascript(t, balancer.address, WAYS[number % WAYS.length]));
  for (const transports of WAYS) clients.push(python(t, balancer.address, transports));
  await until(() => clients.every(({ answered }) => answered > 0), () => `clients of the first server\n${clients.join("\n")}`);
  const b = await startServer(t, 0);
  balancer.add(b);
  return { a, clients };
};

/** Whatever was sent was answered, or its sender knows that it was not: at most what was under way when its server left. */
const nothingIsLost = async (t, clients) => {
  for (const client of clients) {
    await client.stop();
    t.diagnostic(`${client}`);
    assert.equal(client.sent, client.answered + client.failed, `${client}`);
    assert.ok(client.failed <= 1, `${client}`);
  }
};

/** Every client is back, once, and served. */
const allAreBack = async (clients) => {
  await until(() => clients.every(({ connects }) => connects === 2), () => `all come back\n${clients.join("\n")}`);
  const before = clients.map(({ answered }) => answered);
  await until(() => clients.every(({ answered }, at) => answered > before[at]), () => `all are served\n${clients.join("\n")}`);
  for (const client of clients) assert.equal(client.ends.length, 1, `${client}`);
};

/** F-PRO-22, F-SCL-01 */
test("clients of a server that drains come to another one, one after another", { timeout: 90_000 }, async (t) => {
  const WINDOW = 6_000;
  const { a, clients } = await setUp(t, WINDOW / 1000, 12);
  assert.equal((await fetch(`${a.address}/ready`)).status, 200);

  const begun = Date.now();
  a.child.kill("SIGTERM");
  await until(async () => (await fetch(`${a.address}/ready`)).status === 503, "no new clients");
  assert.ok(Date.now() - begun < WINDOW / 4, "readiness is turned off at once");
  const refused = await fetch(`${a.address}/socket.io/?EIO=4&transport=polling`);
  assert.deepEqual([refused.status, refused.headers.has("retry-after")], [503, true]);
  assert.equal((await fetch(`${a.address}/health`)).status, 200, "it works, and is not to be killed");

  await allAreBack(clients);
  assert.equal(await a.ended, 0);
  assert.equal(a.left.filter((reason) => reason === "server shutting down").length, clients.length, `${a.left}`);
  // Evenly, with jitter: nobody's turn is further off than that.
  const turns = clients.map(({ ends: [{ at }] }) => (at - begun) / WINDOW).sort((one, other) => one - other);
  for (const [number, at] of turns.entries()) {
    const turn = number / turns.length;
    assert.ok(at > turn - 0.2 && at < turn + 0.4, `turn ${number} at ${at.toFixed(2)} of the window: ${turns.map((at) => at.toFixed(2))}`);
  }
  await nothingIsLost(t, clients);
});

/** F-PRO-22, F-SCL-01 */
test("clients of a server that closes at once come to another one", { timeout: 90_000 }, async (t) => {
  const { a, clients } = await setUp(t, 0, 6);
  a.child.kill("SIGTERM");
  await allAreBack(clients);
  assert.equal(await a.ended, 0);
  await nothingIsLost(t, clients);
});

/** F-PRO-22: what makes the clients on polling come back: no word of the end, and then a session that is not there. */
test("a polling client is told nothing, and then refused", { timeout: 30_000 }, async (t) => {
  const a = await startServer(t, 0.5);
  const url = `${a.address}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(url)).text()).slice(1));
  await fetch(`${url}&sid=${sid}`, { method: "POST", body: "40" });
  assert.match(await (await fetch(`${url}&sid=${sid}`)).text(), /^40\{"sid":/);
  const held = fetch(`${url}&sid=${sid}`).then((answer) => answer.text());
  a.child.kill("SIGTERM");
  const last = (await held).split("\x1e").at(-1);
  if (last !== "6") assert.equal(await (await fetch(`${url}&sid=${sid}`)).text(), "6", `after ${last}`);
  const next = await fetch(`${url}&sid=${sid}`).then(({ status }) => status, () => "nobody there");
  assert.ok([400, "nobody there"].includes(next), `${next}`);
  assert.equal(await a.ended, 0);
});
