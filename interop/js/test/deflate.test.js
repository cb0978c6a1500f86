// Compressed WebSocket messages: that they really are, and that nothing but their size changes. For a server with
// INTEROP_DEFLATE=alone or takeover; the other suites run beside this one with the same server.
import assert from "node:assert/strict";
import { describe } from "node:test";
import WebSocket from "ws";
import { bytes, call, callAll, matrix, next, plain, range, received, sameList, test, until, URL_BASE } from "../harness.js";

const takeover = process.env.INTEROP_DEFLATE === "takeover";
const ENDPOINT = `${URL_BASE.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;

/** Something that gets much smaller, and is different each time. */
const text = (size, seed = 0) => `${seed} ${"what everybody says, again and again. ".repeat(size / 38)}`;

/** Bytes that `work` makes go over the connection: `{ in, out }`. */
async function traffic(socket, work) {
  const stream = socket.io.engine.transport.ws._socket;
  const before = [stream.bytesRead, stream.bytesWritten];
  await work();
  return { in: stream.bytesRead - before[0], out: stream.bytesWritten - before[1] };
}

matrix("deflate", (lab) => {
  test("it is agreed on with clients as they come (F-PRO-14)", async (t) => {
    const socket = await lab.settled(t);
    const { params } = socket.io.engine.transport.ws._extensions["permessage-deflate"];
    assert.equal(Boolean(params.server_no_context_takeover), !takeover);
    assert.equal(Boolean(params.client_no_context_takeover), !takeover);
  });

  test("large messages are small on the wire, both ways (F-PRO-14)", async (t) => {
    const socket = await lab.settled(t);
    const message = text(50_000);
    const used = await traffic(socket, async () => assert.equal(await call(socket, "echo", message), message));
    assert.ok(used.in < 5_000 && used.out < 5_000, JSON.stringify(used));
    const data = Buffer.alloc(50_000, "binary, and nothing new");
    const binary = await traffic(socket, async () => assert.deepEqual(plain(await call(socket, "echo", data)), plain(data)));
    assert.ok(binary.in < 5_000 && binary.out < 5_000, JSON.stringify(binary));
  });

  test("a client that does not want it gets the same, plain", async (t) => {
    const socket = await lab.settled(t, { perMessageDeflate: false });
    const message = text(20_000);
    const used = await traffic(socket, async () => assert.equal(await call(socket, "echo", message), message));
    assert.ok(used.in > 20_000 && used.out > 20_000, JSON.stringify(used));
  });

  test("an event can say that it is not to be compressed (F-PRO-23, F-NOD-05)", async (t) => {
    const socket = await lab.settled(t);
    const message = text(20_000);
    const used = await traffic(socket, async () => {
      const answer = next(socket, "plain");
      socket.emit("plain", message);
      assert.deepEqual(await answer, [message]);
    });
    assert.ok(used.in > 20_000 && used.out < 5_000, JSON.stringify(used));
  });

  test("one broadcast for clients with and without (F-PRO-14)", async (t) => {
    const sender = await lab.settled(t);
    const room = `deflate ${sender.id}`;
    const others = await Promise.all(range(6).map((i) => lab.settled(t, i % 2 ? {} : { perMessageDeflate: false })));
    for (const socket of others) await call(socket, "join", room);
    const messages = range(20).map((i) => text(200 * i + 10, i));
    const sizes = await Promise.all(others.map((socket) => traffic(socket, async () => {
      if (socket === others[0]) for (const message of messages) await call(sender, "room", room, message);
      await until(() => received(socket, "room_msg").length === messages.length, "all messages");
      sameList(received(socket, "room_msg").map(([, message]) => message), messages, "the room's messages");
    })));
    for (const [i, size] of sizes.entries()) {
      assert.ok(i % 2 ? size.in < 10_000 : size.in > 38_000, `${i}: ${JSON.stringify(size)}`);
    }
  });

  test("messages of all sizes and kinds stay in order", async (t) => {
    const socket = await lab.settled(t);
    const messages = range(300).map((i) => [
      text((i * 37) % 5000, i),
      bytes((i * 131) % 3000, i + 1),
      "x".repeat(i * i),
      { nested: [Buffer.from(text(i * 10)), i, "é😀".repeat(i)] },
    ][i % 4]);
    const answers = await Promise.all(messages.map((message) => callAll(socket, "echo", message)));
    sameList(plain(answers), plain(messages.map((message) => [message])), "echoes");
  });

  test("small messages that are alike get smaller with each, when they may build on each other", async (t) => {
    const socket = await lab.settled(t);
    const say = (i) => ({ user: "somebody with a name", text: `something that was said before, but for ${i}`, tags: ["some", "more"] });
    await call(socket, "echo", say(0));
    const used = await traffic(socket, async () => {
      for (const i of range(50)) await call(socket, "echo", say(i));
    });
    if (takeover) assert.ok(used.in < 50 * 50, JSON.stringify(used));
    else assert.ok(used.in > 50 * 80, JSON.stringify(used));
  });
}, { modes: ["websocket", "upgrade"] });

// The client's own library with every kind of offer.
describe("offers", () => {
  // `false` would forbid the server what it may well do.
  const combinations = [9, 12, 15].flatMap((bits) => [true, undefined].flatMap((alone) => [
    { serverMaxWindowBits: bits, serverNoContextTakeover: alone },
    { clientMaxWindowBits: bits, clientNoContextTakeover: alone },
    { serverMaxWindowBits: bits, clientMaxWindowBits: bits, clientNoContextTakeover: alone, serverNoContextTakeover: alone },
  ]));
  for (const offer of [{}, ...combinations]) {
    test(`ws with ${JSON.stringify(offer)}`, async (t) => {
      const ws = new WebSocket(ENDPOINT, { perMessageDeflate: { threshold: 0, ...offer } });
      t.after(() => ws.terminate());
      const inbox = [];
      ws.on("message", (data) => {
        if (data.toString() === "2") ws.send("3");
        else inbox.push(data.toString());
      });
      await until(() => inbox.some((packet) => packet.startsWith("0{")), "OPEN");
      assert.match(ws.extensions, /^permessage-deflate/);
      const { params } = ws._extensions["permessage-deflate"];
      assert.equal(Boolean(params.server_no_context_takeover), !takeover || Boolean(offer.serverNoContextTakeover));
      if (offer.serverMaxWindowBits < 15) assert.equal(params.server_max_window_bits, offer.serverMaxWindowBits);
      ws.send("40");
      await until(() => inbox.some((packet) => packet.startsWith("40{")), "CONNECT");
      const messages = range(60).map((i) => `3${i}${JSON.stringify([text(i * 97, i)])}`);
      for (const [i] of messages.entries()) ws.send(`42${i}${JSON.stringify(["echo", text(i * 97, i)])}`);
      await until(() => inbox.filter((packet) => packet.startsWith("43")).length === messages.length, "all echoes");
      sameList(inbox.filter((packet) => packet.startsWith("43")), messages.map((message) => `4${message}`), "echoes");
    });
  }
});
