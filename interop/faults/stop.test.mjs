// The server's process stands still for ten seconds (SIGSTOP): a virtual machine that is moved, a debugger, a laptop's lid.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Sender, Server, WebSocket, clients, pause, rises, until } from "./harness.mjs";

const STILL = 10_000;
/** How long raw clients take for a pong, so that many are due at any time. */
const PONG_AFTER = 500;

/** A client that answers pings, and never gives up by itself. */
function patient(t, server) {
  const socket = new WebSocket(`ws://${server.address}/socket.io/?EIO=4&transport=websocket`);
  const state = { socket, open: true, connected: false, answers: true, close: () => socket.terminate() };
  socket.on("message", (data) => {
    const text = data.toString();
    if (text.startsWith("0")) socket.send("40");
    if (text.startsWith("40{")) state.connected = true;
    if (text === "2") setTimeout(() => state.open && state.answers && socket.send("3"), PONG_AFTER);
  });
  socket.on("close", () => (state.open = false));
  socket.on("error", () => {});
  t.after(state.close);
  return state;
}

/** The same by polling. */
function patientPoller(t, server) {
  const state = { open: true, connected: false };
  const stop = new AbortController();
  const base = `${server.url}/socket.io/?EIO=4&transport=polling`;
  const request = async (url, options) => {
    const response = await fetch(url, { signal: stop.signal, ...options });
    if (!response.ok) throw new Error(`${response.status}`);
    return response.text();
  };
  (async () => {
    const { sid } = JSON.parse((await request(base)).slice(1));
    const url = `${base}&sid=${sid}`;
    await request(url, { method: "POST", body: "40" });
    for (;;) {
      for (const packet of (await request(url)).split("\x1e")) {
        if (packet.startsWith("40")) state.connected = true;
        if (packet === "2") pause(PONG_AFTER).then(() => request(url, { method: "POST", body: "3" })).catch(() => {});
        if (packet === "1") throw new Error("closed");
      }
    }
  })().catch(() => (state.open = false));
  t.after(() => stop.abort());
  return state;
}

describe("a server that stands still for 10 s", { concurrency: true }, () => {
  it("keeps its clients, and acknowledges everything, in order", { timeout: 120_000 }, async (t) => {
    const server = await Server.start(t);
    const before = server.descriptors;
    const sockets = await clients(t, server.url, 200);
    const left = [];
    sockets.forEach((socket, i) => socket.on("disconnect", (reason) => left.push(`${i}: ${reason}`)));
    const senders = sockets.map((socket, i) => new Sender(socket, i, { every: 200, timeout: 60_000 }));
    await pause(500);
    server.signal("SIGSTOP");
    await pause(STILL);
    const waiting = senders.reduce((sum, { fate }) => sum + fate.filter((what) => what === "open").length, 0);
    server.signal("SIGCONT");
    await pause(500);
    await Promise.all(senders.map((sender) => sender.stop()));
    assert.deepEqual(left, [], "nobody was disconnected");
    for (const { fate, acked } of senders) {
      assert.equal(acked.length, fate.length);
      assert.ok(rises(acked), `in order: ${acked}`);
    }
    assert.ok(waiting > 5000, `${waiting} waited meanwhile`);
    const sent = senders.reduce((sum, { fate }) => sum + fate.length, 0);
    t.diagnostic(`${sent} messages, of which ${waiting} waited for the server, all acknowledged in order`);
    sockets.forEach((socket) => socket.disconnect());
    await server.emptied(before);
  });

  it("does not hold pongs against clients that it could not read", { timeout: 120_000 }, async (t) => {
    const server = await Server.start(t, { args: ["--ping-interval", "1000", "--ping-timeout", "4000"] });
    const list = [];
    for (let i = 0; i < 40; i++) {
      list.push(patient(t, server), patientPoller(t, server));
      await pause(25);
    }
    const dead = Array.from({ length: 20 }, () => patient(t, server));
    await until(() => [...list, ...dead].every(({ connected }) => connected), "all are connected");
    assert.ok(list.every(({ open }) => open), "all are there before");
    // Connected at different times, so that some wait for a pong when the server stops and others do not.
    await pause(1800);
    server.signal("SIGSTOP");
    await pause(STILL);
    dead.forEach((client) => (client.answers = false));
    server.signal("SIGCONT");
    // Those who do not answer any more are gone within two periods: the one that may have been excused, and their own.
    await until(() => dead.every(({ open }) => !open), "the dead are let go", 2 * (1000 + 4000) + 1000);
    assert.equal(list.filter(({ open }) => !open).length, 0, "all others are there");
    const { sessions } = await server.stats();
    assert.equal(sessions, list.length);
  });
});
