// The server is killed and started again, under 200 clients that send messages with acknowledgements.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { join } from "node:path";
import { LONG, Sender, Server, clients, connected, folder, journal, pause, rises, until } from "./harness.mjs";

const CLIENTS = 200;
const KILLS = LONG ? 20 : 3;
// At most 500 ms, and half as much again by chance, between two tries; a loaded machine takes time to connect 200.
const BACK_WITHIN = 10_000;

describe("kill -9 under 200 clients", { concurrency: true }, () => {
  it("acknowledges nothing whose handler has not run, and tells the sender of what is lost", { timeout: 300_000 }, async (t) => {
    const file = join(folder(t), "journal");
    const server = await Server.start(t, { args: ["--journal", file] });
    const before = server.descriptors;
    const sockets = await clients(t, server.url, CLIENTS);
    const senders = sockets.map((socket, i) => new Sender(socket, i, { every: 100 }));
    for (let kill = 0; kill < KILLS; kill++) {
      await pause(1000);
      await server.kill();
      await until(() => sockets.every((socket) => !socket.connected), "all have noticed");
      await server.start();
      await connected(sockets, BACK_WITHIN);
    }
    await pause(1000);
    await Promise.all(senders.map((sender) => sender.stop()));

    let [sent, acked, told] = [0, 0, 0];
    const ran = journal(file, CLIENTS);
    for (const [i, { fate, acked: ids }] of senders.entries()) {
      const here = new Set(ran[i]);
      for (const id of ids) assert.ok(here.has(id), `client ${i}: ${id} is acknowledged, and its handler has not run`);
      assert.ok(rises(ran[i]), `client ${i}: handlers in the order of the messages, each once: ${ran[i]}`);
      assert.ok(rises(ids), `client ${i}: acknowledgements in order`);
      for (const [id, what] of fate.entries()) {
        sent++;
        if (what === "acked") acked++;
        else told++;
        assert.match(what, /^(acked|socket has been disconnected|operation has timed out)$/, `client ${i}, ${id}`);
      }
    }
    assert.ok(acked > 0 && told > 0, `messages of both kinds: ${acked} acknowledged, ${told} reported`);
    t.diagnostic(`${KILLS} kills: ${sent} sent, ${acked} acknowledged, ${told} reported to their senders, none lost silently`);
    sockets.forEach((socket) => socket.disconnect());
    await server.emptied(before);
  });

  it("loses nothing of clients that try again", { timeout: 300_000 }, async (t) => {
    const file = join(folder(t), "journal");
    const server = await Server.start(t, { args: ["--journal", file] });
    const [n, messages] = [50, 20 * (KILLS + 1)];
    const sockets = await clients(t, server.url, n, { retries: 1000, ackTimeout: 1000 });
    const sending = sockets.map(async (socket, i) => {
      const answers = [];
      for (let id = 0; id < messages; id++) {
        answers.push(new Promise((resolve) => socket.emit("note", i, id, (error, answer) => resolve(error ?? answer))));
        await pause(50 + 50 * Math.random());
      }
      return Promise.all(answers);
    });
    for (let kill = 0; kill < KILLS; kill++) {
      await pause(1000);
      await server.kill();
      await server.start();
      await connected(sockets, BACK_WITHIN);
    }
    const answers = await Promise.all(sending);
    const ran = journal(file, n);
    let again = 0;
    for (let i = 0; i < n; i++) {
      assert.deepEqual(answers[i], Array.from({ length: messages }, (_, id) => id), `client ${i}: all are acknowledged`);
      const first = [...new Set(ran[i])];
      assert.deepEqual(first, answers[i], `client ${i}: all handlers have run, in order`);
      again += ran[i].length - first.length;
    }
    t.diagnostic(`${n * messages} messages, all acknowledged; ${again} handlers ran twice, as trying again means`);
  });
});
