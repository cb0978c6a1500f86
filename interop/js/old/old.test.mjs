// JavaScript clients 1.x and 2.x: Engine.IO 3 and Socket.IO protocol 4.
import assert from "node:assert/strict";
import { describe } from "node:test";
import { bytes, call, callAll, next, plain, range, received, sameList, serverReason, test, until } from "../harness.js";
import { CLIENTS, Lab, MODES, matrix } from "./harness.js";

const SID = /^[\w-]{20}$/;

// Clients 1.x encode text twice over polling, and expect as much of the server; Node's has not done so since 2.0 either.
const asciiOnly = (lab) => lab.key === "v1" && lab.mode !== "websocket";

matrix("old clients connect", (lab) => {
  test("welcome, sent inside the connect handler, comes after connect (F-PRO-02, F-CON-09)", async (t) => {
    const k = asciiOnly(lab) ? "v w&=1" : "v w&ü=1";
    const socket = lab.open(t, { query: { k, token: "t" } });
    const order = [];
    socket.on("connect", () => order.push("connect"));
    socket.on("welcome", () => order.push("welcome"));
    await until(() => order.length === 2, "connect and welcome");
    assert.deepEqual(order, ["connect", "welcome"]);
    const [[welcome]] = received(socket, "welcome");
    // What they cannot say as auth they say in the query.
    assert.deepEqual(welcome.auth, { k, token: "t" });
    assert.equal(welcome.query_k, k);
  });

  test("the id of a socket is a public one, whatever the client calls its own (F-PRO-20)", async (t) => {
    const socket = await lab.connect(t);
    await until(() => received(socket, "welcome").length, "welcome");
    const [[{ sid, auth }]] = received(socket, "welcome");
    assert.match(sid, SID);
    assert.equal(auth, null);
    assert.equal(socket.id, socket.io.engine.id);
    assert.notEqual(sid, socket.id);
    assert.deepEqual(await call(socket, "rooms"), [sid]);
    assert.equal(await call(socket, "room", sid, "to me"), "sent");
    await until(() => received(socket, "room_msg").length, "a message to the public id");
  });

  test("both sides agree on the transport, before and after an upgrade (F-PRO-05)", async (t) => {
    const socket = await lab.settled(t);
    assert.equal(await call(socket, "transport"), lab.transport);
  });

  test("namespaces, with a query as credentials (F-PRO-02)", async (t) => {
    const root = await lab.connect(t);
    const other = lab.also(t, root, "/other");
    await next(other, "connect");
    assert.deepEqual(await callAll(other, "echo", 1, "o"), [1, "o"]);
    if (lab.key === "v1") return; // Its namespaces have no query of their own.
    const auth = lab.also(t, root, "/auth", { query: { token: "secret", name: "Ada" } });
    await next(auth, "connect");
    await until(() => received(auth, "hello").length, "hello");
    assert.deepEqual(received(auth, "hello"), [["Ada"]]);
    const text = await lab.connect(t, { namespace: "/auth?token=secret&name=Grace%20%C3%A9" });
    await until(() => received(text, "hello").length, "hello");
    assert.deepEqual(received(text, "hello"), [["Grace é"]]);
  });

  test("a refusal is an error event with the details or the message (F-PRO-02)", async (t) => {
    const root = await lab.connect(t);
    const auth = lab.also(t, root, "/auth");
    assert.deepEqual(await next(auth, "error"), [{ code: 401 }]);
    const nope = lab.also(t, root, "/nope");
    assert.deepEqual(await next(nope, "error"), ["Invalid namespace"]);
    assert.deepEqual(await callAll(root, "echo", "still here"), ["still here"]);
  });

  test("leaving and rejoining a namespace (F-CON-14)", async (t) => {
    const root = await lab.connect(t);
    const other = lab.also(t, root, "/other");
    await next(other, "connect");
    for (const i of range(3)) {
      const gone = next(other, "disconnect");
      other.disconnect();
      assert.equal((await gone)[0], "io client disconnect");
      await call(root, "seq", i);
      other.connect();
      await next(other, "connect");
      assert.deepEqual(await callAll(other, "echo", i), [i]);
    }
  });
});

matrix("old clients talk", (lab) => {
  test("events and acknowledgements of all kinds (F-PRO-02)", async (t) => {
    const socket = await lab.connect(t);
    const values = [null, true, 1.5, -3, "", "a\"\\\n\u0000</script>", [], {}, [1, [2, { a: ["b"] }]]];
    if (!asciiOnly(lab)) values.push("é€😀", "日本語", "e\u0301\u2028", { "ключ": ["😀"] });
    for (const value of values) assert.deepEqual(await callAll(socket, "echo", value), [value]);
    assert.deepEqual(await callAll(socket, "echo", ...values), values);
    socket.emit("echo", ...values);
    await until(() => received(socket, "echo").length, "echo");
    assert.deepEqual(received(socket, "echo"), [values]);
    assert.deepEqual(await callAll(socket, "echo"), []);
    const long = "x".repeat(300_000);
    assert.deepEqual(await callAll(socket, "echo", long), [long]);
  });

  test("the server asks and the client answers (F-ACK-01)", async (t) => {
    const socket = await lab.connect(t);
    socket.on("question", (value, answer) => answer({ was: value }));
    assert.deepEqual(await callAll(socket, "ask", [1, "x"]), ["answer", { was: [1, "x"] }]);
    socket.off("question");
    socket.on("question", (value, answer) => answer(Buffer.from([7, 8])));
    assert.deepEqual(plain(await callAll(socket, "ask", Buffer.from([1]))), plain(["answer", Buffer.from([7, 8])]));
  });

  for (const size of [0, 1, 3, 100_000, 700_000]) {
    test(`${size} bytes there and back (F-ARG-05)`, async (t) => {
      const socket = await lab.settled(t);
      const sent = bytes(size);
      assert.equal(await call(socket, "bin", sent), size);
      await until(() => received(socket, "bin").length, "bin");
      assert.deepEqual(plain(received(socket, "bin")), [[plain(sent)]]);
    });
  }

  test("binary among text, nested, in events and acknowledgements (F-ARG-05)", async (t) => {
    const socket = await lab.connect(t);
    const text = asciiOnly(lab) ? "plain" : "é😀";
    const sent = [{ name: text, data: bytes(10), list: [1, bytes(0), { deeper: [bytes(3, 3), null] }] }, "between", bytes(300, 4)];
    assert.deepEqual(plain(await callAll(socket, "echo", ...sent)), plain(sent));
    socket.emit("echo", ...sent);
    await until(() => received(socket, "echo").length, "echo");
    assert.deepEqual(plain(received(socket, "echo")), [plain(sent)]);
  });

  test("a thousand events and as many answers in order, also across an upgrade (F-PRO-05, F-PRO-11)", async (t) => {
    const socket = await lab.connect(t);
    const answers = range(1000).map((i) => call(socket, "seq", i));
    sameList(await Promise.all(answers), range(1000), "answers");
    await call(socket, "count", 1000);
    await until(() => received(socket, "tick").length === 1000, "ticks");
    sameList(received(socket, "tick").map(([i]) => i), range(1000), "ticks");
  });
});

matrix("old clients live and leave", (lab) => {
  test("an idle client stays, because it pings (F-PRO-02, F-PRO-07)", async (t) => {
    const socket = await lab.settled(t);
    let pongs = 0;
    socket.io.on("pong", () => pongs++);
    const gone = [];
    socket.on("disconnect", (reason) => gone.push(reason));
    // An interval is a second; a client that did not ping would be closed after three.
    await until(() => pongs >= 4 || gone.length, "four heartbeats");
    assert.deepEqual(gone, []);
    assert.deepEqual(await callAll(socket, "echo", "alive"), ["alive"]);
  });

  test("the server disconnects a namespace, or the connection (F-DIS-01)", async (t) => {
    const socket = await lab.settled(t);
    socket.emit("kick_me");
    assert.equal((await next(socket, "disconnect"))[0], "io server disconnect");
    const other = await lab.settled(t);
    other.emit("kick_transport");
    assert.match((await next(other, "disconnect"))[0], /transport close|forced close/);
  });

  test("the server sees who leaves (F-DIS-01)", async (t) => {
    const observer = await lab.connect(t);
    for (const [leave, reason] of [
      [(socket) => socket.disconnect(), /client namespace disconnect|transport close/],
      [(socket) => socket.io.engine.close(), /client namespace disconnect|transport close/],
    ]) {
      const socket = await lab.settled(t);
      const [[{ sid }]] = await until(() => received(socket, "welcome").length && received(socket, "welcome"), "welcome");
      leave(socket);
      assert.match(await serverReason(observer, sid), reason);
    }
  });

  test("a client that was cut off comes back by itself (F-PRO-02)", async (t) => {
    const socket = await lab.settled(t, { reconnection: true, reconnectionDelay: 20 });
    const again = next(socket, "reconnect");
    socket.emit("kick_transport");
    await again;
    assert.deepEqual(await callAll(socket, "echo", "back"), ["back"]);
    await until(() => received(socket, "welcome").length === 2, "a second welcome");
  });
}, { concurrency: 8 });

describe("one server, every generation of clients", () => {
  const all = Object.entries(CLIENTS).flatMap(([key]) => Object.keys(MODES).map((mode) => new Lab(key, mode)));

  test("a broadcast reaches them all, text and binary, in order (F-PRO-01, F-PRO-02)", async (t) => {
    const sockets = await Promise.all(all.map((lab) => lab.connect(t)));
    await Promise.all(sockets.map((socket) => call(socket, "join", "everybody")));
    const check = async (messages, included) => {
      for (const message of messages) assert.equal(await call(sockets.at(-1), "room", "everybody", message), "sent");
      for (const [i, socket] of sockets.entries()) {
        if (!included(all[i])) continue;
        await until(() => received(socket, "room_msg").length === messages.length, `messages of ${all[i].name}`);
        assert.deepEqual(plain(received(socket, "room_msg").map(([, message]) => message)), plain(messages), all[i].name);
        socket.inbox.length = 0;
      }
    };
    await check(["text", { a: [1] }, bytes(3), { deep: [bytes(1000, 2), "x"] }, "end"], () => true);
    await check([{ é: "😀" }, bytes(3), "€", { "日本": bytes(2) }], (lab) => !asciiOnly(lab));
  });

  for (const lab of all) {
    test(`${lab.name} (F-PRO-01, F-PRO-02)`, async (t) => {
      const socket = await lab.settled(t);
      assert.equal(await call(socket, "transport"), lab.transport);
      assert.deepEqual(plain(await callAll(socket, "echo", 1, "two", bytes(3))), plain([1, "two", bytes(3)]));
    });
  }
});
