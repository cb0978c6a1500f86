// Rooms, broadcast, exclusion. Room names are random: all tests share one server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { bytes, call, callAll, connected, matrix, plain, range, received, reconnect, sameList, test, until } from "../harness.js";

/**
 * Checks that each socket has received exactly these `room_msg` events: waits for what should come,
 * then for an answer that follows what should not. Messages of different senders may mix.
 */
async function heard(expected) {
  for (const [socket, messages] of expected) {
    await until(() => received(socket, "room_msg").length >= messages.length, `${messages.length} room messages`);
  }
  for (const [socket] of expected) await call(socket, "seq", 0);
  for (const [socket, messages] of expected) {
    sameList(plain(received(socket, "room_msg")), plain(messages), "room messages");
  }
}

matrix("rooms", (lab) => {
  const trio = (t) => Promise.all([lab.connect(t), lab.connect(t), lab.connect(t)]);

  test("a message reaches the members, the sender included (F-ROM-01)", async (t) => {
    const [a, b, c] = await trio(t);
    const room = `room é😀 ${randomUUID()}`;
    assert.equal(await call(a, "join", room), true);
    assert.equal(await call(b, "join", room), true);
    assert.equal(await call(a, "room", room, "one"), "sent");
    // A sender need not be a member; then it gets nothing.
    assert.equal(await call(c, "room", room, "two"), "sent");
    await heard([[a, [[room, "one"], [room, "two"]]], [b, [[room, "one"], [room, "two"]]], [c, []]]);
  });

  test("to_others leaves the sender out", async (t) => {
    const [a, b, c] = await trio(t);
    const room = randomUUID();
    await Promise.all([a, b, c].map((socket) => call(socket, "join", room)));
    await call(a, "to_others", room, "from a");
    await call(b, "to_others", room, "from b");
    await heard([[a, [[room, "from b"]]], [b, [[room, "from a"]]], [c, [[room, "from a"], [room, "from b"]]]]);
  });

  test("joining twice is once, leaving ends it, an unknown room is nobody (F-ROM-09, F-EMT-12)", async (t) => {
    const [a, b] = await trio(t);
    const room = randomUUID();
    await call(a, "join", room);
    await call(a, "join", room);
    await call(b, "room", room, "one");
    assert.equal(await call(a, "leave", room), true);
    await call(b, "room", room, "two");
    assert.equal(await call(a, "leave", room), true);
    assert.equal(await call(b, "room", `nobody ${room}`, "three"), "sent");
    await call(a, "room", a.id, "last");
    await heard([[a, [[room, "one"], [a.id, "last"]]], [b, []]]);
  });

  test("rooms lists the memberships and the personal room (F-ROM-02, F-ROM-07)", async (t) => {
    const socket = await lab.connect(t);
    const [x, y] = [randomUUID(), randomUUID()];
    assert.deepEqual(await call(socket, "rooms"), [socket.id]);
    await call(socket, "join", x);
    await call(socket, "join", y);
    assert.deepEqual((await call(socket, "rooms")).sort(), [socket.id, x, y].sort());
    await call(socket, "leave", x);
    assert.deepEqual((await call(socket, "rooms")).sort(), [socket.id, y].sort());
  });

  test("an id is a room that reaches one socket (F-ROM-02)", async (t) => {
    const [a, b, c] = await trio(t);
    await call(a, "room", b.id, "for b");
    await heard([[b, [[b.id, "for b"]]], [a, []], [c, []]]);
  });

  test("memberships end with the connection (F-ROM-05)", async (t) => {
    const [a, b] = await trio(t);
    const room = randomUUID();
    await call(a, "join", room);
    a.disconnect();
    await reconnect(a);
    assert.deepEqual(await call(a, "rooms"), [a.id]);
    await call(b, "room", room, "anyone?");
    await call(b, "room", a.id, "you");
    await heard([[a, [[a.id, "you"]]], [b, []]]);
  });

  test("broadcast reaches everyone else, and no other namespace", async (t) => {
    const [a, b, c] = await trio(t);
    const other = lab.also(t, b, "/other");
    await connected(other);
    const text = `hello ${randomUUID()}`;
    const mine = (socket) => received(socket, "bcast").filter(([got]) => got === text).length;
    a.emit("broadcast", text);
    await until(() => mine(b) && mine(c), "the broadcast");
    await Promise.all([callAll(a, "echo"), callAll(b, "echo"), callAll(c, "echo"), callAll(other, "echo")]);
    assert.deepEqual([a, b, c, other].map(mine), [0, 1, 1, 0]);
  });

  test("one sender's room messages arrive in order at every member, binary among them (F-PRO-11)", async (t) => {
    const [a, b, c] = await trio(t);
    const room = randomUUID();
    await Promise.all([b, c].map((socket) => call(socket, "join", room)));
    const sent = range(300).map((i) => (i % 4 ? String(i) : { i, data: bytes(i, i) }));
    for (const text of sent) a.emit("room", room, text);
    const expected = sent.map((text) => [room, text]);
    await heard([[b, expected], [c, expected], [a, []]]);
  });

  test("two senders with binary messages at once never mix their attachments (F-PRO-11)", async (t) => {
    const [a, b, c] = await trio(t);
    const room = randomUUID();
    await call(c, "join", room);
    const message = (who, i) => ({ who, i, data: [bytes(40 + i, who * 1000 + i), bytes(3, i)] });
    for (const i of range(150)) {
      a.emit("room", room, message(1, i));
      b.emit("room", room, message(2, i));
    }
    await until(() => received(c, "room_msg").length >= 300, "300 room messages");
    for (const who of [1, 2]) {
      const got = received(c, "room_msg").map(([, text]) => text).filter((text) => text.who === who);
      sameList(plain(got), plain(range(150).map((i) => message(who, i))), `messages of ${who}`);
    }
  });
});
