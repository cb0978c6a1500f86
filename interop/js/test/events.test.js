// Events and acknowledgements: every kind of argument, both directions, failures.
import assert from "node:assert/strict";
import { bytes, call, callAll, connected, IN_MSGPACK, isWritable, matrix, plain, range, received, sameList, test, until } from "../harness.js";

const deep = (depth, leaf) => range(depth).reduce((inner, i) => (i % 2 ? [inner] : { k: inner }), leaf);

const VALUES = {
  "null, true, false": [null, true, false],
  "empty containers": ["", [], {}, [[]], [{}], { a: [] }],
  "integers": [0, 1, -1, 255, 65536, 2 ** 31, -(2 ** 31), 2 ** 32, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  "integers that only a float holds": [2 ** 53, 2 ** 63, -(2 ** 63), 2 ** 64, 1e21, 123456789012345680000],
  "floats": [0.1, -0.1, 0.1 + 0.2, 1e-7, 5e-324, Number.MAX_VALUE, Number.EPSILON, 1 / 3, 1e300, -2.5e-300],
  "ASCII and escapes": ["a", " ", '"', "\\", "/", "\b\f\n\r\t", "\u0000\u0001\u001e\u001f\u007f", "</script>"],
  "strings that look like packets": ["2", "42[\"x\"]", "1-", "/ns,", "b4AAA", "0{}", "null", "[", "_placeholder"],
  "accents and scripts": ["é", "ñandú", "Ελληνικά", "日本語", "العربية", "नमस्ते", "e\u0301", "\u2028\u2029\ufeff"],
  "emoji and other astral characters": ["😀", "👩‍👩‍👧‍👦", "🇩🇪", "𝒳𝓎", "\u{10ffff}", "a😀b𝒳c"],
  "object keys": [{ "": 0, " ": 1, "ключ": 2, "😀": 3, '"': 4, "a.b": 5, "0": 6 }],
  "mixed": [{ a: [1, "b", { c: null, d: [true, 0.5, { e: "f" }] }], g: {} }],
  "a long string": ["x".repeat(100_000), "é😀".repeat(20_000)],
  "a long list": [range(10_000)],
  "forty levels": [deep(40, "leaf")],
  "something that looks like a placeholder (F-ARG-08)": [{ _placeholder: true, num: 9 }, { _placeholder: true, num: 0 }],
};

matrix("echo", (lab) => {
  for (const [name, all] of Object.entries(VALUES)) {
    const values = all.filter(isWritable);
    test(`${name}, one by one and all in one event`, async (t) => {
      const socket = await lab.connect(t);
      for (const value of values) assert.deepEqual(await callAll(socket, "echo", value), [value]);
      assert.deepEqual(await callAll(socket, "echo", ...values), values);
      socket.emit("echo", ...values);
      await until(() => received(socket, "echo").length, "echo");
      assert.deepEqual(received(socket, "echo"), [values]);
    });
  }

  test("no argument, and many (F-ARG-02, F-ARG-04)", async (t) => {
    const socket = await lab.connect(t);
    assert.deepEqual(await callAll(socket, "echo"), []);
    socket.emit("echo");
    await until(() => received(socket, "echo").length, "echo");
    assert.deepEqual(received(socket, "echo"), [[]]);
    assert.deepEqual(await callAll(socket, "echo", ...range(200)), range(200));
  });

  test("numbers keep every digit", async (t) => {
    const socket = await lab.connect(t);
    const noise = bytes(8 * 500, 7);
    const numbers = range(500).map((i) => noise.readDoubleLE(8 * i)).filter(Number.isFinite).filter(isWritable);
    assert.deepEqual(await callAll(socket, "echo", numbers), [numbers]);
    const decimals = range(500).map((i) => noise.readUInt32LE(4 * i) / 10 ** (i % 20));
    assert.deepEqual(await callAll(socket, "echo", decimals), [decimals]);
  });

  test("a lone surrogate does no harm", async (t) => {
    const socket = await lab.connect(t);
    const answer = await call(socket, "echo", "a\ud800b");
    assert.ok(["a\ud800b", "a\ufffdb"].includes(answer), JSON.stringify(answer));
    assert.deepEqual(await callAll(socket, "echo", "well"), ["well"]);
  }, { notInMsgPack: "the client's encoder makes a pair of it and whatever follows" });
});

matrix("binary", (lab) => {
  // A polling body carries base64, so 900 KB would be above the limit of 1e6 bytes there.
  const big = lab.transport === "polling" ? 700_000 : 900_000;

  for (const size of [0, 1, 2, 3, 100_000, big]) {
    test(`${size} bytes there and back (F-ARG-05)`, async (t) => {
      const socket = await lab.settled(t);
      const sent = bytes(size);
      assert.equal(await call(socket, "bin", sent), size);
      await until(() => received(socket, "bin").length, "bin");
      assert.deepEqual(plain(received(socket, "bin")), [[plain(sent)]]);
    });
  }

  test("every kind of buffer", async (t) => {
    const socket = await lab.connect(t);
    const base = bytes(64);
    const view = new Uint8Array(base.buffer, base.byteOffset + 5, 9);
    const whole = new Uint8Array(view).buffer;
    // The encoder of MessagePack writes all of the memory that a view is a part of.
    const sent = IN_MSGPACK ? [base, whole] : [base, view, whole];
    assert.deepEqual(plain(await callAll(socket, "echo", ...sent)), plain(sent));
  });

  test("nested among other values, in acknowledgements and events (F-ARG-05, F-ACK-02)", async (t) => {
    const socket = await lab.connect(t);
    const sent = [
      { name: "é😀", data: bytes(10), list: [1, bytes(0), { deeper: [bytes(3, 3), null] }] },
      "between",
      [bytes(300, 4)],
      deep(20, bytes(5, 5)),
    ];
    assert.deepEqual(plain(await callAll(socket, "echo", ...sent)), plain(sent));
    socket.emit("echo", ...sent);
    await until(() => received(socket, "echo").length, "echo");
    assert.deepEqual(plain(received(socket, "echo")), [plain(sent)]);
  });

  test("ten attachments, in order (F-ARG-05)", async (t) => {
    const socket = await lab.connect(t);
    const sent = range(10).map((i) => bytes(1 + i * 50, i));
    assert.deepEqual(plain(await callAll(socket, "echo", ...sent)), plain(sent));
    assert.deepEqual(plain(await callAll(socket, "echo", { sent })), plain([{ sent }]));
  });

  test("text and binary events keep their order (F-PRO-11)", async (t) => {
    const socket = await lab.connect(t);
    const sent = range(300).map((i) => [i, i % 3 ? bytes(i, i) : "text", i % 5 ? {} : [bytes(2, i), bytes(3, i)]]);
    for (const args of sent) socket.emit("echo", ...args);
    await until(() => received(socket, "echo").length >= sent.length, "all echoes");
    sameList(plain(received(socket, "echo")), plain(sent), "echoes");
  });

  test("over a second namespace", async (t) => {
    const socket = await lab.connect(t, { namespace: "/other" });
    assert.deepEqual(plain(await callAll(socket, "echo", 1, bytes(20), [bytes(2)])), plain([1, bytes(20), [bytes(2)]]));
  });
});

matrix("acknowledgements", (lab) => {
  test("one thousand in flight are answered in order (F-EVT-13)", async (t) => {
    const socket = await lab.connect(t);
    const answers = [];
    for (const i of range(1000)) socket.emit("seq", i, (answer) => answers.push([i, answer]));
    await until(() => answers.length >= 1000, "1,000 acknowledgements");
    assert.equal(await call(socket, "seq", 1000), 1000);
    sameList(answers, range(1000).map((i) => [i, i]), "acknowledgements");
  });

  test("the server asks, the client answers (F-ACK-06, F-ACK-10)", async (t) => {
    const socket = await lab.connect(t);
    socket.on("question", (value, answer) => answer({ you: value }));
    for (const value of [0, "é😀", [1, [2]], { a: null }, bytes(30), { b: [bytes(4)] }]) {
      assert.deepEqual(plain(await callAll(socket, "ask", value)), plain(["answer", { you: value }]));
    }
  });

  test("many questions at once find their own answers", async (t) => {
    const socket = await lab.connect(t);
    socket.on("question", (value, answer) => setTimeout(answer, 20 - (value % 20), value * 2));
    const answers = await Promise.all(range(50).map((i) => callAll(socket, "ask", i)));
    assert.deepEqual(answers, range(50).map((i) => ["answer", i * 2]));
  });

  test("a question that the client ignores times out on the server (F-ACK-11)", async (t) => {
    const socket = await lab.connect(t);
    let late;
    socket.on("question_ignored", (...args) => (late = args.at(-1)));
    assert.equal(await call(socket, "ask_timeout"), "timeout");
    late("too late");
    assert.deepEqual(await callAll(socket, "echo", "unharmed"), ["unharmed"]);
  });

  test("a handler that fails or panics sends no acknowledgement and keeps the connection (F-ACK-04, F-ERR-06, F-ERR-07)", async (t) => {
    const socket = await lab.connect(t);
    const { id } = socket;
    const answered = [];
    for (const event of ["fail", "panic", "fail", "panic", "without a handler"]) {
      socket.emit(event, () => answered.push(event));
      socket.emit(event);
    }
    assert.deepEqual(await callAll(socket, "echo", "after"), ["after"]);
    assert.deepEqual(answered, []);
    assert.equal(socket.connected, true);
    assert.equal(socket.id, id);
  });

  test("the fallback handler gets name and arguments (F-EVT-06)", async (t) => {
    const socket = await lab.connect(t);
    for (const [event, ...args] of [["any-thing"], ["any-", 1], ["any-é 😀 \"x\"", null, { a: 1 }], ["any-bin", bytes(5)]]) {
      const answer = await callAll(socket, event, ...args);
      // One list or several arguments: both are fine here.
      const flat = answer.length === 1 ? answer[0] : answer;
      assert.deepEqual(plain(flat), plain(["any", event, ...args]));
    }
  });

  test("the same acknowledgement ids in two namespaces do not meet", async (t) => {
    const root = await lab.connect(t);
    const other = lab.also(t, root, "/other");
    await connected(other);
    const answers = await Promise.all(range(50).flatMap((i) => [callAll(root, "echo", "r", i), callAll(other, "echo", "o", i)]));
    assert.deepEqual(answers, range(50).flatMap((i) => [["r", i], ["o", i]]));
  });

  if (lab.modern) {
    test("io.timeout(…).emit: answered in time", async (t) => {
      const socket = await lab.connect(t);
      const answer = await new Promise((resolve) => socket.timeout(10_000).emit("echo", 1, 2, (...all) => resolve(all)));
      assert.deepEqual(answer, [null, 1, 2]);
    });

    test("io.timeout(…).emit: not answered in time, and the late answer is dropped", async (t) => {
      const socket = await lab.connect(t);
      const [error] = await new Promise((resolve) => socket.timeout(50).emit("slow", 300, (...all) => resolve(all)));
      assert.match(error.message, /timed out/);
      assert.deepEqual(await callAll(socket, "slow", 1), [1]);
      assert.deepEqual(await callAll(socket, "echo", "unharmed"), ["unharmed"]);
    });

    test("emitWithAck, with and without a timeout", async (t) => {
      const socket = await lab.connect(t);
      assert.equal(await socket.emitWithAck("echo", "one"), "one");
      assert.equal(await socket.timeout(10_000).emitWithAck("echo", "two"), "two");
      await assert.rejects(socket.timeout(50).emitWithAck("fail"), /timed out/);
    });

    test("retries: the same event is sent again until it is acknowledged", async (t) => {
      const socket = await lab.connect(t, { retries: 3, ackTimeout: 10_000 });
      const answers = await Promise.all(range(20).map((i) => socket.emitWithAck("seq", i)));
      assert.deepEqual(answers, range(20));
    });
  }
});

matrix("flags", (lab) => {
  test("volatile is harmless (F-NOD-04)", async (t) => {
    const socket = await lab.settled(t);
    for (const i of range(20)) socket.volatile.emit("echo", "volatile", i, bytes(3));
    assert.deepEqual(await callAll(socket, "echo", "after"), ["after"]);
    const numbers = received(socket, "echo").map(([, i]) => i);
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
    await until(() => {
      socket.volatile.emit("echo", "idle");
      return received(socket, "echo").some(([what]) => what === "idle");
    }, "a volatile event that finds the connection idle");
  });

  test("compress is harmless (F-NOD-05)", async (t) => {
    const socket = await lab.connect(t);
    for (const flag of [true, false]) {
      const text = "compressible ".repeat(1000);
      const answer = await new Promise((resolve) => socket.compress(flag).emit("echo", text, bytes(2000), (...all) => resolve(all)));
      assert.deepEqual(plain(answer), plain([text, bytes(2000)]));
    }
  });
});

matrix("events from the server", (lab) => {
  test("five thousand arrive in order, before the acknowledgement that follows them (F-PRO-11)", async (t) => {
    const socket = await lab.connect(t);
    let before;
    const answer = await new Promise((resolve) =>
      socket.emit("count", 5000, (n) => {
        before = received(socket, "tick").length;
        resolve(n);
      }));
    assert.equal(answer, 5000);
    assert.equal(before, 5000);
    sameList(received(socket, "tick"), range(5000).map((i) => [i]), "ticks");
  });
});
