// Connecting: order, auth, query, refusal, several namespaces on one connection.
import assert from "node:assert/strict";
import { describe } from "node:test";
import { call, callAll, connected, matrix, next, received, test, until } from "../harness.js";

const SID = /^[\w-]{20}$/;

matrix("connect", (lab) => {
  test("welcome, sent inside the connect handler, arrives after connect (F-CON-09)", async (t) => {
    const socket = lab.open(t);
    const order = [];
    socket.on("connect", () => order.push(["connect", socket.id]));
    socket.on("welcome", (welcome) => order.push(["welcome", welcome.sid]));
    await until(() => order.length === 2, "connect and welcome");
    assert.deepEqual(order, [["connect", socket.id], ["welcome", socket.id]]);
    assert.match(socket.id, SID);
  });

  test("without auth and query, both are null (F-CON-02)", async (t) => {
    const socket = lab.open(t);
    const [welcome] = await next(socket, "welcome");
    assert.deepEqual(welcome, { sid: socket.id, query_k: null, auth: null });
  });

  test("the handler sees auth and query (F-CON-02, F-CON-17)", async (t) => {
    const auth = { token: "t 1", nested: { list: [1, null, "é😀"] } };
    const socket = lab.open(t, { auth, query: { k: "v w&ü=1" } });
    const [welcome] = await next(socket, "welcome");
    assert.deepEqual(welcome, { sid: socket.id, query_k: "v w&ü=1", auth });
  });

  test("auth may be a function", async (t) => {
    const socket = lab.open(t, { auth: (done) => setImmediate(done, { late: true }) });
    const [welcome] = await next(socket, "welcome");
    assert.deepEqual(welcome.auth, { late: true });
  });

  test("both sides agree on the transport, before and after an upgrade (F-PRO-05)", async (t) => {
    const socket = await lab.connect(t);
    await lab.settle(socket);
    assert.equal(await call(socket, "transport"), lab.transport);
    assert.equal(socket.io.engine.transport.name, lab.transport);
  });

  test("headers of the handshake stay available (F-CON-17)", async (t) => {
    const extraHeaders = { "User-Agent": "interop/1.0 (test)", Cookie: "a=b; c=d" };
    const socket = await lab.settled(t, { extraHeaders });
    const { user_agent, cookie, peer } = await call(socket, "handshake");
    assert.equal(user_agent, extraHeaders["User-Agent"]);
    assert.equal(cookie, extraHeaders.Cookie);
    assert.match(peer, /127\.0\.0\.1|::1/);
  });

  test("the id is not the session id of the connection (F-PRO-20)", async (t) => {
    const socket = await lab.connect(t);
    assert.match(socket.io.engine.id, SID);
    assert.notEqual(socket.id, socket.io.engine.id);
  });

  test("ids of one hundred connections are all different (F-PRO-20)", async (t) => {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => lab.connect(t)));
    assert.equal(new Set(sockets.flatMap((socket) => [socket.id, socket.io.engine.id])).size, 200);
  });

  test("several namespaces share one connection, each with its own id (F-NSP-01)", async (t) => {
    const root = await lab.connect(t);
    const other = lab.also(t, root, "/other");
    const auth = lab.also(t, root, "/auth", { auth: { token: "secret", name: "Ada" } });
    await Promise.all([connected(other), connected(auth)]);
    assert.equal(other.io, root.io);
    assert.equal(new Set([root.id, other.id, auth.id, root.io.engine.id]).size, 4);
    const answers = await Promise.all([callAll(root, "echo", 1, "r"), callAll(other, "echo", 2, "o")]);
    assert.deepEqual(answers, [[1, "r"], [2, "o"]]);
    await until(() => received(auth, "hello").length, "hello");
    assert.deepEqual(received(auth, "hello"), [["Ada"]]);
    // Nothing leaks between the namespaces.
    root.emit("echo", "only here");
    await until(() => received(root, "echo").length, "echo");
    await callAll(other, "echo");
    assert.deepEqual(received(other, "echo"), []);
  });

  test("a refusal carries message and data (F-CON-05)", async (t) => {
    for (const auth of [undefined, {}, { token: "wrong" }]) {
      const socket = lab.open(t, { namespace: "/auth", auth });
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, "unauthorized!");
      assert.deepEqual(error.data, { code: 401 });
      assert.equal(socket.connected, false);
      assert.deepEqual(socket.inbox, []);
    }
  });

  test("after a refusal the connection and its other namespaces live on, and a second try may pass", async (t) => {
    const root = await lab.connect(t);
    const auth = lab.also(t, root, "/auth", { auth: { token: "wrong" } });
    await next(auth, "connect_error");
    assert.deepEqual(await callAll(root, "echo", "still here"), ["still here"]);
    auth.auth = { token: "secret", name: "Grace" };
    auth.connect();
    await connected(auth);
    await until(() => received(auth, "hello").length, "hello");
    assert.deepEqual(received(auth, "hello"), [["Grace"]]);
    assert.equal(root.connected, true);
  });

  test("an unknown namespace is refused with a message that the client can read (F-CON-12)", async (t) => {
    const root = await lab.connect(t);
    const nope = lab.also(t, root, "/nope");
    const [error] = await next(nope, "connect_error");
    assert.equal(error.message, "Invalid namespace");
    assert.deepEqual(await callAll(root, "echo", 1), [1]);
  });

  test("leaving and rejoining a namespace gives a new id (F-CON-14)", async (t) => {
    const root = await lab.connect(t);
    const rootId = root.id;
    const other = lab.also(t, root, "/other");
    await connected(other);
    const ids = [other.id];
    for (let i = 0; i < 3; i++) {
      const gone = next(other, "disconnect");
      other.disconnect();
      assert.equal((await gone)[0], "io client disconnect");
      await call(root, "seq", i);
      other.connect();
      await connected(other);
      ids.push(other.id);
      assert.deepEqual(await callAll(other, "echo", i), [i]);
    }
    assert.equal(new Set(ids).size, 4);
    assert.equal(root.id, rootId);
    assert.deepEqual(await callAll(root, "echo", "same"), ["same"]);
  });

  test("rejoining at once, in the same burst as leaving, works as well", async (t) => {
    const root = await lab.settled(t);
    const other = lab.also(t, root, "/other");
    await connected(other);
    const ids = new Set([other.id]);
    for (let i = 0; i < 10; i++) {
      other.disconnect();
      other.connect();
      await connected(other);
      ids.add(other.id);
    }
    assert.equal(ids.size, 11);
    assert.equal(root.connected, true);
  }, { notOnNode: "it looks at the CONNECT before the DISCONNECT of the same burst and closes the connection" });

  test("events emitted before the connection are delivered after it, in order", async (t) => {
    const socket = lab.open(t);
    const answers = [0, 1, 2, 3].map((i) => callAll(socket, "seq", i));
    assert.deepEqual(await Promise.all(answers), [[0], [1], [2], [3]]);
  });
});

// The library's own choice, as applications use it: no transports option at all.
describe("defaults", () => {
  matrix("default options end on websocket", (lab) => {
    test("upgrade", async (t) => {
      const socket = await lab.connect(t, { transports: undefined });
      await lab.settle(socket);
      assert.equal(await call(socket, "transport"), "websocket");
    });
  }, { modes: ["upgrade"] });
});
