// What MessagePack has and JSON has not, with socket.io-msgpack-parser on the client's side.
import assert from "node:assert/strict";
import { bytes, callAll, connected, matrix, next, plain, range, received, serverReason, test, until } from "../harness.js";

matrix("MessagePack", (lab) => {
  const DATES = [0, -1, 1714979289010, 253402300800000, 8.64e15, -8.64e15].map((ms) => new Date(ms));

  test("dates come back as dates (F-SER-02)", async (t) => {
    const socket = await lab.connect(t);
    for (const date of DATES) assert.deepEqual(await callAll(socket, "echo", date, { in: [date] }), [date, { in: [date] }]);
    const [later] = await callAll(socket, "a day later", DATES[2]);
    assert.ok(later instanceof Date, `${later}`);
    assert.equal(later - DATES[2], 86_400_000);
    socket.emit("echo", DATES[2]);
    await until(() => received(socket, "echo").length, "echo");
    assert.deepEqual(received(socket, "echo"), [[DATES[2]]]);
  });

  test("a handler that takes text gets a date as JSON would write it, and sends text (F-SER-02)", async (t) => {
    const socket = await lab.connect(t);
    for (const date of DATES) assert.deepEqual(await callAll(socket, "text", date), [date.toJSON()]);
    const text = DATES[2].toJSON();
    assert.deepEqual(await callAll(socket, "echo", text), [text]);
  });

  test("undefined is null, or absent (F-SER-02)", async (t) => {
    const socket = await lab.connect(t);
    const answer = await callAll(socket, "echo", undefined, [undefined, 1], { a: undefined, b: 1 });
    assert.deepEqual(answer, [null, [null, 1], { b: 1 }]);
    assert.equal("a" in answer[2], false);
  });

  test("what JSON has no word for (F-SER-02)", async (t) => {
    const socket = await lab.connect(t);
    assert.deepEqual(await callAll(socket, "echo", NaN, Infinity, -Infinity), [null, null, null]);
    const numbers = [2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53, 2 ** 62, -(2 ** 63)];
    assert.deepEqual(await callAll(socket, "echo", ...numbers), numbers);
  });

  test("an object that looks like a placeholder (F-ARG-08)", async (t) => {
    const socket = await lab.connect(t);
    const fake = { _placeholder: true, num: 0 };
    assert.deepEqual(await callAll(socket, "echo", fake, [fake]), [fake, [fake]]);
    assert.equal(socket.connected, true);
  });

  test("namespaces, refusals and the end have no data where there is none (F-SER-02)", async (t) => {
    const [root, observer] = await Promise.all([lab.connect(t), lab.connect(t)]);
    const other = lab.also(t, root, "/other");
    await connected(other);
    assert.deepEqual(plain(await callAll(other, "echo", bytes(3), [])), plain([bytes(3), []]));
    const refused = lab.also(t, root, "/auth", {});
    const [error] = await next(refused, "connect_error");
    assert.deepEqual([error.message, error.data], ["unauthorized!", { code: 401 }]);
    const { id } = root;
    const gone = next(root, "disconnect");
    root.emit("kick_me");
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(await serverReason(observer, id), "server namespace disconnect");
    assert.deepEqual(await callAll(other, "echo", "still here"), ["still here"]);
  });

  test("more binary than one packet may have closes the connection (F-SEC)", async (t) => {
    const [socket, observer] = await Promise.all([lab.connect(t), lab.connect(t)]);
    const { id } = socket;
    assert.equal((await callAll(socket, "echo", ...range(10).map((i) => bytes(i)))).length, 10);
    socket.emit("echo", ...range(11).map((i) => bytes(i)));
    await next(socket, "disconnect");
    assert.equal(await serverReason(observer, id), "parse error");
  });
});
