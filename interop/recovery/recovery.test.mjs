// The official client against the example `recovery`: its connection is cut, and it comes back.
//
//   WIREBIRD_DEMO_URL  the server
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { afterEach, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

const { io } = createRequire(new URL("../js/package.json", import.meta.url))("socket.io-client");
const URL_BASE = process.env.WIREBIRD_DEMO_URL;

let open = [];
const client = (transports) => {
  const socket = io(URL_BASE, { transports, forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 50, randomizationFactor: 0 });
  socket.texts = [];
  socket.on("said", (text) => socket.texts.push(text));
  open.push(socket);
  return socket;
};
const until = async (condition) => {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 1000, `in time: ${condition}`);
    await pause(10);
  }
};
const say = (socket, text) => socket.emitWithAck("say", text);
const connected = (socket) => until(() => socket.connected);

/** The connection breaks, and the client does not come back before `meanwhile` is over. */
const cut = async (socket, meanwhile) => {
  socket.io.reconnection(false);
  socket.io.engine.close();
  await until(() => !socket.connected);
  await meanwhile();
  socket.io.reconnection(true);
  socket.connect();
  await connected(socket);
};

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  describe(`recovery over ${transports.join(" and ")}`, () => {
    afterEach(() => {
      open.forEach((socket) => socket.disconnect());
      open = [];
    });

    // F-NOD-21, F-PRO-18
    it("brings a client back with what it missed, again and again", async () => {
      const [ann, bob] = [client(transports), client(transports)];
      await Promise.all([connected(ann), connected(bob)]);
      const { id } = bob;
      assert.equal(bob.recovered, false);
      await say(ann, "0");
      await until(() => bob.texts.length === 1);
      for (let round = 1; round <= 3; round++) {
        await cut(bob, async () => {
          await say(ann, `${round}a`);
          await say(ann, `${round}b`);
        });
        assert.equal(bob.recovered, true);
        assert.equal(bob.id, id);
        await say(ann, `${round}c`);
        await until(() => bob.texts.length === 1 + 3 * round);
      }
      assert.deepEqual(bob.texts, ["0", "1a", "1b", "1c", "2a", "2b", "2c", "3a", "3b", "3c"]);
      // Twice in a row with nothing between.
      await cut(bob, async () => {});
      await cut(bob, async () => {});
      assert.deepEqual([bob.recovered, bob.id, bob.texts.length], [true, id, 10]);
    });

    // F-NOD-21
    it("brings a client back that never got an event", async () => {
      const [ann, bob] = [client(transports), client(transports)];
      await Promise.all([connected(ann), connected(bob)]);
      const { id } = bob;
      await cut(bob, () => say(ann, "first"));
      assert.deepEqual([bob.recovered, bob.id], [true, id]);
      await until(() => bob.texts.length === 1);
      assert.deepEqual(bob.texts, ["first"]);
    });

    it("connects a client anew that has left on purpose", async () => {
      const [ann, bob] = [client(transports), client(transports)];
      await Promise.all([connected(ann), connected(bob)]);
      const { id } = bob;
      bob.disconnect();
      await say(ann, "unheard");
      bob.connect();
      await connected(bob);
      assert.equal(bob.recovered, false);
      assert.notEqual(bob.id, id);
      await say(ann, "heard");
      await until(() => bob.texts.length === 1);
      assert.deepEqual(bob.texts, ["heard"]);
    });
  });
}
