// What no well-behaved client sends, and what each client takes for granted: the bytes themselves.
// Every test ends with a bystander that must not have noticed anything.
import assert from "node:assert/strict";
import { describe } from "node:test";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { call, callAll, connected, next, range, serverReason, test, until, URL_BASE } from "../harness.js";

const ENDPOINT = `${URL_BASE}/socket.io/`;
const RS = "\x1e";
const SID = /^[\w-]{20}$/;
/** The reasons with which Node's server ends a connection that breaks the protocol; which one depends on the layer. */
const VIOLATION = /^(parse error|transport error|forced close|forced server close)$/;

const query = (fields) => `${ENDPOINT}?${new URLSearchParams(fields)}`;

/** A polling session by hand. */
class Poller {
  static async open() {
    const poller = new Poller();
    const response = await fetch(query({ EIO: 4, transport: "polling" }));
    assert.equal(response.status, 200);
    poller.handshake = response;
    [poller.open, ...poller.unread] = (await response.text()).split(RS);
    assert.equal(poller.open[0], "0");
    poller.sid = JSON.parse(poller.open.slice(1)).sid;
    return poller;
  }

  /** As {@link open}, and connected to `/`. */
  static async joined() {
    const poller = await Poller.open();
    assert.equal((await poller.post("40")).status, 200);
    const reply = await poller.packet((packet) => packet.startsWith("40"));
    poller.id = JSON.parse(reply.slice(2)).sid;
    await poller.packet((packet) => packet.startsWith('42["welcome"'));
    return poller;
  }

  get() {
    return fetch(query({ EIO: 4, transport: "polling", sid: this.sid }));
  }

  post(...packets) {
    return fetch(query({ EIO: 4, transport: "polling", sid: this.sid }), { method: "POST", body: packets.join(RS) });
  }

  /** Polls until a packet matches and returns it; answers pings. */
  async packet(matches) {
    for (;;) {
      while (this.unread.length) {
        const packet = this.unread.shift();
        if (packet === "2") await this.post("3");
        if (matches(packet)) return packet;
      }
      const response = await this.get();
      assert.equal(response.status, 200);
      this.unread.push(...(await response.text()).split(RS));
    }
  }

  /** Waits until the server no longer knows the session. */
  async closed() {
    await until(async () => (await this.get()).status === 400, "the session is gone");
  }
}

/** A WebSocket by hand. Text frames are collected as strings, binary ones as Buffers. */
async function dial(t, fields = {}) {
  const socket = new WebSocket(query({ EIO: 4, transport: "websocket", ...fields }).replace(/^http/, "ws"));
  t.after(() => socket.terminate());
  socket.frames = [];
  socket.closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  socket.on("message", (data, isBinary) => {
    const frame = isBinary ? data : data.toString();
    if (frame === "2" && !socket.mute) socket.send("3");
    socket.frames.push(frame);
  });
  socket.on("error", () => {});
  await next(socket, "open");
  socket.frame = (matches, what) => until(() => socket.frames.find((frame) => typeof frame === "string" && matches(frame)), what);
  return socket;
}

/** As {@link dial}, and connected to `/`. */
async function dialed(t) {
  const socket = await dial(t);
  socket.send("40");
  const reply = await socket.frame((frame) => frame.startsWith("40"), "CONNECT");
  socket.id = JSON.parse(reply.slice(2)).sid;
  await socket.frame((frame) => frame.startsWith('42["welcome"'), "welcome");
  return socket;
}

describe("wire", () => {
  /** A test with a bystander: an official client whose connection must survive. */
  const check = (name, fn, options) => test(name, async (t) => {
    const bystander = io(URL_BASE, { forceNew: true, reconnection: false, transports: ["websocket"] });
    t.after(() => bystander.disconnect());
    await connected(bystander);
    const { id } = bystander;
    await fn(t, bystander);
    assert.deepEqual(await callAll(bystander, "echo", "unharmed"), ["unharmed"]);
    assert.equal(bystander.id, id);
  }, options);

  check("handshake: OPEN over polling", async () => {
    const response = await fetch(query({ EIO: 4, transport: "polling" }), { headers: { Origin: "https://example.com" } });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type")?.toLowerCase().replaceAll(" ", ""), "text/plain;charset=utf-8");
    assert.match(response.headers.get("access-control-allow-origin"), /^(\*|https:\/\/example\.com)$/);
    const body = await response.text();
    const open = JSON.parse(body.slice(1));
    assert.match(open.sid, SID);
    assert.deepEqual({ ...open, sid: null }, { sid: null, upgrades: ["websocket"], pingInterval: 1000, pingTimeout: 2000, maxPayload: 1_000_000 });
  });

  check("handshake: OPEN over WebSocket offers no upgrade", async (t) => {
    const socket = await dial(t);
    const open = JSON.parse((await socket.frame((frame) => frame[0] === "0", "OPEN")).slice(1));
    assert.deepEqual(open.upgrades, []);
  });

  check("handshake: errors have their code (wire-protocol 2.2)", async () => {
    const cases = [
      ["GET", { EIO: 3, transport: "polling" }, 5],
      ["GET", { transport: "polling" }, 5],
      ["GET", { EIO: 4 }, 0],
      ["GET", { EIO: 4, transport: "pigeon" }, 0],
      ["GET", { EIO: 4, transport: "polling", sid: "AAAAAAAAAAAAAAAAAAAA" }, 1],
      ["POST", { EIO: 4, transport: "polling", sid: "../../etc/passwd" }, 1],
      ["POST", { EIO: 4, transport: "polling" }, 2],
      ["GET", { EIO: 4, transport: "websocket" }, 3],
    ];
    for (const [method, fields, code] of cases) {
      const response = await fetch(query(fields), { method, body: method === "POST" ? "40" : undefined });
      assert.equal(response.status, 400, JSON.stringify(fields));
      const answer = await response.json();
      assert.equal(answer.code, code, JSON.stringify(fields));
      assert.equal(typeof answer.message, "string");
    }
  });

  check("CONNECT comes before what the connect handler emitted (F-CON-09)", async (t) => {
    const socket = await dialed(t);
    const packets = socket.frames.filter((frame) => typeof frame === "string" && frame[0] === "4");
    assert.deepEqual(packets.slice(0, 2).map((packet) => packet.slice(0, 2)), ["40", "42"]);
  });

  check("five hundred packets in one POST are all handled, in order (hazard 3)", async () => {
    const poller = await Poller.joined();
    const response = await poller.post(...range(500).map((i) => `42${i}["seq",${i}]`));
    assert.equal(response.status, 200);
    assert.equal((await response.text()).toLowerCase(), "ok");
    for (const i of range(500)) {
      assert.equal(await poller.packet((packet) => packet[0] === "4"), `43${i}[${i}]`);
    }
  });

  check("an invalid packet in a POST is answered at once and ends the session (hazards 3, 4)", async (_, bystander) => {
    for (const body of ["", "x", "9", "42{}", '42["a"', "42[]", "47[]", '420x["a"]', '40["not an object"]', "44{}", '451-["bin"]']) {
      const poller = await Poller.joined();
      const started = performance.now();
      await poller.post(body);
      assert.ok(performance.now() - started < 900, `POST of ${JSON.stringify(body)} hangs`);
      if (body === '451-["bin"]') await poller.post('42["text while an attachment is due"]');
      await poller.closed();
      assert.match(await serverReason(bystander, poller.id), VIOLATION, JSON.stringify(body));
    }
  });

  check("an event without any payload is invalid (wire-protocol 4.3)", async (t, bystander) => {
    const socket = await dialed(t);
    socket.send("42");
    await socket.closed;
    assert.match(await serverReason(bystander, socket.id), VIOLATION);
  }, { notOnNode: "its decoder lets it through" });

  check("reserved names are never dispatched (hazard 2, F-EVT-11)", async (t, bystander) => {
    for (const name of ["connect", "disconnect", "connect_error", "disconnecting", "newListener", "removeListener"]) {
      const socket = await dialed(t);
      socket.send(`42["${name}",{"forged":true}]`);
      await socket.closed;
      assert.match(await serverReason(bystander, socket.id), VIOLATION, name);
    }
  });

  check("attachments that do not fit end the connection (hazard 10)", async (t, bystander) => {
    const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;
    for (const frames of [
      [Buffer.from([1])],
      [`451-["bin",${placeholder(0)}]`, '42["echo"]'],
      [`451-["bin",${placeholder(1)}]`, Buffer.from([1])],
      ['450-["bin"]', '42["echo"]'],
      ['4599999999999-["bin"]'],
      [`4511-["echo",${range(11).map(placeholder)}]`],
    ]) {
      const socket = await dialed(t);
      for (const frame of frames) socket.send(frame);
      await socket.closed;
      assert.match(await serverReason(bystander, socket.id), VIOLATION, frames.join(" | "));
    }
  });

  check("an event before CONNECT, or a namespace connected twice, ends the connection (wire-protocol 4.1)", async (t) => {
    const early = await dial(t);
    early.send('42["echo",1]');
    await early.closed;
    const twice = await dialed(t);
    twice.send("40");
    await twice.closed;
  });

  check("a second poll at the same time is refused, and the session ends (hazard 5)", async (_, bystander) => {
    const poller = await Poller.joined();
    // A ping that waits already answers the first at once.
    for (let tries = 0, refused = false; !refused; tries++) {
      const statuses = await Promise.all([poller.get(), poller.get()].map(async (response) => (await response).status));
      refused = statuses.includes(400);
      assert.ok(refused || tries < 3, `${statuses}`);
    }
    await poller.closed();
    assert.equal(await serverReason(bystander, poller.id), "transport error");
  });

  check("binary over polling is base64 after a b", async () => {
    const poller = await Poller.joined();
    await poller.post('451-7["bin",{"_placeholder":true,"num":0}]', "bAQIDBA==");
    assert.equal(await poller.packet((packet) => packet[0] === "4"), '451-["bin",{"_placeholder":true,"num":0}]');
    assert.equal(await poller.packet(() => true), "bAQIDBA==");
    assert.equal(await poller.packet((packet) => packet[0] === "4"), "437[4]");
  });

  check("over the limit: 413 for a POST, close code 1009 for a WebSocket (F-PRO-08)", async (t, bystander) => {
    const poller = await Poller.joined();
    const response = await poller.post(`42["echo","${"x".repeat(1_000_001)}"]`);
    assert.equal(response.status, 413);
    for (const data of ["4".padEnd(1_000_001, "x"), Buffer.alloc(1_000_001)]) {
      const socket = await dialed(t);
      socket.send(data);
      assert.equal(await socket.closed, 1009);
      assert.equal(await serverReason(bystander, socket.id), "transport error");
    }
  });

  check("whoever stops answering pings is gone after interval and timeout (hazard 18, F-DIS-03)", async (t, bystander) => {
    const socket = await dialed(t);
    const poller = await Poller.joined();
    socket.mute = true;
    await socket.closed;
    assert.equal(await serverReason(bystander, socket.id), "ping timeout");
    assert.equal(await serverReason(bystander, poller.id), "ping timeout");
  });

  check("a close packet ends a polling session", async (_, bystander) => {
    const poller = await Poller.joined();
    await poller.post("1");
    await poller.closed();
    assert.match(await serverReason(bystander, poller.id), /^transport close$|^client namespace disconnect$/);
  });

  check("the upgrade by hand: probe, noop for the open poll and for a late one, nothing lost (F-PRO-05)", async (t) => {
    const poller = await Poller.joined();
    const held = poller.get();
    const socket = await dial(t, { sid: poller.sid });
    socket.send("2probe");
    await socket.frame((frame) => frame === "3probe", "3probe");
    // Pings and the like may come first; what matters is that no poll stays open.
    const released = async (poll) => {
      const text = await (await poll).text();
      if (!/(^|\x1e)6$/.test(text)) await released(poller.get());
    };
    await released(held);
    await released(poller.get());
    await poller.post('421["seq",1]');
    socket.send("5");
    socket.send('422["seq",2]');
    await socket.frame((frame) => frame === "432[2]", "the second answer");
    // No poll was open when the first answer was ready.
    assert.deepEqual(socket.frames.filter((frame) => frame.startsWith("43")), ["431[1]", "432[2]"]);
    const polled = await poller.get();
    assert.equal(polled.status, 400);
    socket.send('423["seq",3]');
    await socket.frame((frame) => frame === "433[3]", "the session is untouched by that poll");
  });

  check("a wrong probe leaves the session on polling", async (t) => {
    const poller = await Poller.joined();
    const socket = await dial(t, { sid: poller.sid });
    socket.send("2wrong");
    await socket.closed;
    await poller.post('421["transport"]');
    assert.equal(await poller.packet((packet) => packet.startsWith("43")), '431["polling"]');
  });

  check("a WebSocket for an unknown session is refused", async (t) => {
    const socket = new WebSocket(`${query({ EIO: 4, transport: "websocket", sid: "AAAAAAAAAAAAAAAAAAAA" })}`.replace(/^http/, "ws"));
    t.after(() => socket.terminate());
    const [error] = await next(socket, "error");
    assert.match(error.message, /400/);
  });

  check("two hundred connections that never join, and a hundred that vanish, harm nobody", async (t, bystander) => {
    await Promise.all(range(100).map(() => Poller.open()));
    const sockets = await Promise.all(range(100).map(() => dial(t)));
    for (const socket of sockets) socket.terminate();
    assert.equal(await call(bystander, "seq", 1), 1);
  });
});
