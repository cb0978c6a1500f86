// Servers that go away behind a balancer, and come back.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Poller, request } from "./poller.mjs";
import { addresses, Backend, connect, until } from "./servers.mjs";

/** Connections that come back soon. */
const SOON = { reconnectionDelay: 50, reconnectionDelayMax: 200 };
/** Every way in which a client talks to its server. */
const WAYS = [{ transports: ["polling"] }, { transports: ["websocket"] }, {}];
const [a, b] = Backend.all();

/** Opens `count` clients from different addresses, in all ways. */
const clients = (t, count, options) =>
  Promise.all(addresses(count).map(async (from, number) => {
    const socket = connect(t, from, { ...SOON, ...options, ...WAYS[number % WAYS.length] });
    await until(() => socket.connected, `client ${number} is connected`);
    return socket;
  }));

/** A server gets new clients again. */
const isUsed = (server) => until(async () => {
  const all = await Promise.all(addresses(24).map((from) => request("OPTIONS", "/socket.io/", { from })));
  return all.some(({ headers }) => headers["x-server"] === server.name);
}, `${server.name} has clients`);

/** F-SCL-01, F-PRO-22 */
test("clients of a server that closes come back to the other one", { timeout: 60_000 }, async (t) => {
  const sockets = await clients(t, 18);
  const lost = new Set();
  for (const socket of sockets) socket.on("disconnect", () => lost.add(socket));
  await b.stop();
  await until(() => lost.size > 0 && sockets.every((socket) => socket.connected), () =>
    `${lost.size} were lost, ${sockets.filter((socket) => socket.connected).length} are connected`);
  // Some may still be about to hear that their server has closed.
  const answered = (socket) => socket.timeout(5000).emitWithAck("echo", 1).then((answer) => answer === 1, () => false);
  for (const socket of sockets) await until(() => answered(socket), "every client gets an answer");
  assert.ok(lost.size < sockets.length, "those of the other server stay");

  const used = await Promise.all(addresses(12).map(async (from) => [...(await new Poller({ from }).open()).servers]));
  assert.deepEqual([...new Set(used.flat())], ["a"]);

  await b.start();
  await isUsed(b);
});

/** F-SCL-01, F-PRO-22: each server is replaced in turn, while clients send events that they repeat until they are acknowledged. */
test("a rolling restart loses no acknowledged event", { timeout: 60_000 }, async (t) => {
  const sockets = await clients(t, 12, { retries: 100, ackTimeout: 1000 });
  const acknowledged = sockets.map(() => []);
  let goesOn = true;
  const senders = sockets.map(async (socket, client) => {
    for (let number = 0; goesOn; number++) {
      assert.equal(await socket.emitWithAck("record", `${client}`, number), number);
      acknowledged[client].push(number);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  // Each client has got this many acknowledgements since.
  const progress = () => {
    const before = acknowledged.map((numbers) => numbers.length);
    return until(() => acknowledged.every((numbers, client) => numbers.length >= before[client] + 10), () =>
      `every client goes on: ${acknowledged.map((numbers, client) => numbers.length - before[client])}`);
  };
  await progress();
  for (const server of [a, b]) {
    await server.stop();
    await progress();
    await server.start();
    await isUsed(server);
    await progress();
  }
  goesOn = false;
  await Promise.all(senders);

  const recorded = sockets.map(() => []);
  const processes = sockets.map(() => new Set());
  for (const line of readFileSync(process.env.WIREBIRD_RECORD, "utf8").trimEnd().split("\n")) {
    const [pid, client, number] = line.split(" ").map(Number);
    processes[client].add(pid);
    recorded[client].push(number);
  }
  assert.ok(processes.every(({ size }) => size > 1), "every client has moved");
  let twice = 0;
  for (const [client, numbers] of acknowledged.entries()) {
    // What is repeated may be there twice, at its place.
    const once = recorded[client].filter((number, at, all) => number !== all[at - 1]);
    twice += recorded[client].length - once.length;
    assert.deepEqual(once, numbers, `client ${client}`);
  }
  t.diagnostic(`${acknowledged.flat().length} events were acknowledged, ${twice} of them came twice`);
});
