// Many connections that upgrade under traffic in both directions: nothing lost, nothing twice, nothing out of order.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { call, matrix, next, range, received, sameList, test, until } from "../harness.js";

const CONNECTIONS = 300;
/** Messages of each connection in one turn of the event loop while it upgrades. */
const PER_TURN = 5;
/** Round trips of each connection after its upgrade. */
const AFTERWARDS = 20;

matrix("upgrade under traffic", (lab) => {
  test(`${CONNECTIONS} connections, messages each way (F-PRO-05, F-PRO-11)`, async (t) => {
    const room = randomUUID();
    const speaker = await lab.connect(t, { transports: ["websocket"] });

    // A steady stream to the room, so that every upgrade happens while the server has something to say.
    let said = 0;
    let talking = true;
    const speech = (async () => {
      while (talking && speaker.connected) await call(speaker, "room", room, String(said++));
    })();

    const sockets = await Promise.all(range(CONNECTIONS).map(async () => {
      const socket = lab.open(t);
      const upgraded = socket.io.engine.transport.name === "websocket" ? null : new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
      await next(socket, "welcome");
      socket.emit("join", room);
      // The client's own stream: echoes without acknowledgement, and calls with one.
      socket.sent = 0;
      socket.acked = [];
      const talk = () => {
        const i = socket.sent++;
        socket.emit("echo", i);
        socket.emit("seq", i, (answer) => socket.acked.push(answer));
      };
      let done = false;
      const late = performance.now() + 20_000;
      upgraded.then(() => (done = true));
      while (!done) {
        assert.ok(performance.now() < late && socket.connected, "the upgrade takes too long");
        for (const _ of range(PER_TURN)) talk();
        await new Promise(setImmediate);
      }
      for (const _ of range(AFTERWARDS)) {
        talk();
        await call(socket, "seq", 0);
      }
      return socket;
    }));

    talking = false;
    await speech;
    for (const socket of sockets) {
      assert.equal(socket.io.engine.transport.name, "websocket");
      assert.equal(await call(socket, "transport"), "websocket");
    }
    await call(speaker, "room", room, "end");
    await until(() => sockets.every((socket) => socket.inbox.at(-1)[2] === "end"), "the end, everywhere");

    let during = 0;
    for (const socket of sockets) {
      sameList(received(socket, "echo"), range(socket.sent).map((i) => [i]), "echoes");
      sameList(socket.acked, range(socket.sent), "acknowledgements");
      // From the first message after joining to the last one, without a gap.
      const heard = received(socket, "room_msg").map(([, text]) => text).slice(0, -1).map(Number);
      const first = heard[0] ?? said;
      sameList(heard, range(said - first).map((i) => first + i), "room messages");
      during += socket.sent - AFTERWARDS;
    }
    t.diagnostic(`${during} messages of the clients during the upgrades, ${said} to the room`);
  });
}, { modes: ["upgrade"] });

matrix("many connections", (lab) => {
  test(`${CONNECTIONS} at once, each with a burst each way`, async (t) => {
    const sockets = await Promise.all(range(CONNECTIONS).map(() => lab.connect(t)));
    await Promise.all(sockets.map(async (socket) => {
      const answers = range(20).map((i) => call(socket, "seq", i));
      assert.equal(await call(socket, "count", 100), 100);
      assert.deepEqual(await Promise.all(answers), range(20));
      sameList(received(socket, "tick"), range(100).map((i) => [i]), "ticks");
    }));
  });
}, { modes: ["polling", "websocket"] });
