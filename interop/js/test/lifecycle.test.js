// Heartbeats, every way in which a connection ends, and coming back.
import assert from "node:assert/strict";
import { describe } from "node:test";
import { bytes, call, callAll, connected, IN_MSGPACK, matrix, next, range, received, reconnect, serverReason, test, until } from "../harness.js";

// What waits for heartbeats and timeouts runs side by side. Not too much at once: the server
// remembers the last 200 disconnects only.
const sideBySide = { concurrency: true };

function countPings(socket) {
  const pings = { seen: 0 };
  socket.io.engine.on("packet", ({ type }) => (pings.seen += type === "ping"));
  return pings;
}

describe("heartbeat", sideBySide, () => {
  matrix("heartbeat", (lab) => {
    test("an idle connection outlives several intervals (F-PRO-07)", async (t) => {
      const socket = await lab.settled(t);
      const { id } = socket;
      const pings = countPings(socket);
      await until(() => pings.seen >= 4, "four pings");
      assert.equal(socket.connected, true);
      assert.deepEqual(await callAll(socket, "echo", "alive"), ["alive"]);
      assert.equal(socket.id, id);
    });

    test("a handler that takes longer than interval and timeout delays no heartbeat (F-PRO-07)", async (t) => {
      const socket = await lab.connect(t);
      const { id } = socket;
      const pings = countPings(socket);
      assert.equal(await call(socket, "slow", 3500), 3500);
      assert.ok(pings.seen >= 2, `${pings.seen} pings`);
      assert.equal(socket.id, id);
    });

    test("a slow handler of one connection does not hold up another", async (t) => {
      const [slow, quick] = await Promise.all([lab.connect(t), lab.connect(t)]);
      let done = false;
      const answer = call(slow, "slow", 1500).then(() => (done = true));
      await callAll(quick, "echo", 1);
      assert.equal(done, false);
      await answer;
    });
  }, sideBySide);
});

describe("the end", sideBySide, () => {
  matrix("the end", (lab) => {
    test("the server disconnects a socket (F-DIS-02, F-DIS-06)", async (t) => {
      const [socket, observer] = await Promise.all([lab.connect(t), lab.connect(t)]);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.emit("kick_me");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await serverReason(observer, id), "server namespace disconnect");
      // Such a client does not come back by itself, but it may.
      await reconnect(socket);
      assert.notEqual(socket.id, id);
      assert.deepEqual(await callAll(socket, "echo", "back"), ["back"]);
    });

    test("the other namespaces survive a disconnected one (F-DIS-01, F-DIS-06)", async (t) => {
      const [root, observer] = await Promise.all([lab.connect(t), lab.connect(t)]);
      const other = lab.also(t, root, "/other");
      await connected(other);
      const { id } = root;
      const gone = next(root, "disconnect");
      root.emit("kick_me");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await serverReason(observer, id), "server namespace disconnect");
      assert.deepEqual(await callAll(other, "echo", "still here"), ["still here"]);
    });

    test("the client disconnects its socket (F-DIS-03)", async (t) => {
      const [socket, observer] = await Promise.all([lab.settled(t), lab.connect(t)]);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.disconnect();
      assert.equal((await gone)[0], "io client disconnect");
      assert.equal(await serverReason(observer, id), "client namespace disconnect");
    });

    test("the client closes the connection under its sockets (F-DIS-03)", async (t) => {
      const [socket, observer] = await Promise.all([lab.settled(t), lab.connect(t)]);
      const { id } = socket;
      socket.io.engine.close();
      // Polling says so with a close packet, which the Python servers count as the client's will.
      const reasons = lab.transport === "polling" ? ["transport close", "client namespace disconnect"] : ["transport close"];
      assert.ok(reasons.includes(await serverReason(observer, id)));
    });

    if (lab.mode !== "polling") {
      test("the client's WebSocket is cut (F-DIS-03)", async (t) => {
        const [socket, observer] = await Promise.all([lab.settled(t), lab.connect(t)]);
        const { id } = socket;
        const gone = next(socket, "disconnect");
        socket.io.engine.transport.ws.terminate();
        assert.equal((await gone)[0], "transport close");
        assert.equal(await serverReason(observer, id), "transport close");
      });
    }

    test("the server closes the transport; the client reconnects with a new id and sends what it kept (F-DIS-07)", async (t) => {
      const [socket, observer] = await Promise.all([
        lab.settled(t, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 }),
        lab.connect(t),
      ]);
      const { id } = socket;
      let reconnects = 0;
      socket.io.on("reconnect", () => reconnects++);
      const gone = next(socket, "disconnect");
      socket.emit("kick_transport");
      assert.equal((await gone)[0], "transport close");
      const kept = new Promise((resolve) => socket.emit("echo", "kept", bytes(3), (...all) => resolve(all)));
      assert.equal((await kept)[0], "kept");
      assert.notEqual(socket.id, id);
      assert.equal(reconnects, 1);
      assert.equal(await serverReason(observer, id), "forced close");
      await lab.settle(socket);
      assert.equal(await call(socket, "transport"), lab.transport);
    });

    test("a lost connection is reopened with a new id, and what was kept is sent", async (t) => {
      const socket = await lab.settled(t, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
      for (let round = 0; round < 3; round++) {
        const { id } = socket;
        const gone = next(socket, "disconnect");
        socket.io.engine.close();
        await gone;
        const kept = await Promise.all(range(5).map((i) => new Promise((resolve) => socket.emit("seq", i, resolve))));
        assert.deepEqual(kept, range(5));
        assert.notEqual(socket.id, id);
      }
    });

    test("every namespace of a closed transport comes back", async (t) => {
      const root = await lab.connect(t, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
      const other = lab.also(t, root, "/other");
      const auth = lab.also(t, root, "/auth", { auth: { token: "secret", name: "Lin" } });
      await Promise.all([connected(other), connected(auth)]);
      const before = [root.id, other.id, auth.id];
      for (let round = 0; round < 3; round++) {
        const gone = Promise.all([root, other, auth].map((socket) => next(socket, "disconnect")));
        root.emit("kick_transport");
        assert.deepEqual((await gone).map(([reason]) => reason), Array(3).fill("transport close"));
        await Promise.all([connected(root), connected(other), connected(auth)]);
      }
      assert.equal(new Set([...before, root.id, other.id, auth.id]).size, 6);
      assert.deepEqual(await callAll(other, "echo", "o"), ["o"]);
      await until(() => received(auth, "hello").length === 4, "four times hello");
    });

    test("a message over the limit ends its own connection and no other (F-PRO-08)", async (t) => {
      const [socket, observer] = await Promise.all([lab.settled(t), lab.settled(t)]);
      const { id } = socket;
      const gone = next(socket, "disconnect");
      socket.emit("bin", bytes(1_100_000));
      const [reason] = await gone;
      assert.match(reason, /^transport (close|error)$/);
      // A refused POST leaves the session open, until the client's close packet, aborted poll or silence ends it.
      assert.match(await serverReason(observer, id), lab.transport === "websocket" ? /^transport error$/ : /^transport (error|close)$|^ping timeout$|^client namespace disconnect$/);
      assert.equal(observer.connected, true);
      assert.deepEqual(await callAll(observer, "echo", "unharmed"), ["unharmed"]);
      await reconnect(socket);
      assert.notEqual(socket.id, id);
    });

    test("a message just below the limit is no problem", async (t) => {
      const socket = await lab.settled(t);
      // MessagePack is binary, and a polling body carries base64.
      const text = "x".repeat(IN_MSGPACK && lab.transport === "polling" ? 749_000 : 999_900);
      assert.equal(await call(socket, "echo", text), text);
    });
  });
});

matrix("churn", (lab) => {
  test("connecting and leaving fifty times leaves nothing open", async (t) => {
    const [observer, socket] = await Promise.all([lab.connect(t), lab.connect(t)]);
    const ids = [];
    for (const i of range(50)) {
      if (i % 2) await call(socket, "seq", i);
      ids.push(socket.id);
      socket.disconnect();
      await reconnect(socket);
    }
    assert.equal(new Set(ids).size, 50);
    for (const id of ids.slice(-10)) assert.equal(await serverReason(observer, id), "client namespace disconnect");
  });
});
