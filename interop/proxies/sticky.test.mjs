// Several servers behind a balancer that keeps a client on one of them: by its address, or by a cookie.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Poller, request } from "./poller.mjs";
import { addresses, Backend, connect, URL_BASE, WebSocket } from "./servers.mjs";

const POLLING = "/socket.io/?EIO=4&transport=polling";

/** F-SCL-01, F-SCL-04, F-SCL-05 */
test("polling clients stay on their server, and all servers have some", async () => {
  const used = new Set();
  await Promise.all(addresses(24).map(async (from) => {
    const client = await new Poller({ from }).open();
    for (let number = 0; number < 10; number++) assert.equal(await client.call("echo", number), number);
    assert.equal(client.servers.size, 1, `${from} was on ${[...client.servers]}`);
    used.add([...client.servers][0]);
  }));
  assert.deepEqual([...used].sort(), ["a", "b"]);
});

/** F-SCL-01 */
for (const [way, options] of Object.entries({
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: {},
})) {
  test(`official clients: ${way}`, async (t) => {
    await Promise.all(addresses(12).map(async (from) => {
      const socket = connect(t, from, { ...options, reconnection: false });
      await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
      if (way === "upgrade" && socket.io.engine.transport.name !== "websocket") {
        await new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
      }
      for (let number = 0; number < 20; number++) {
        assert.equal(await socket.timeout(5000).emitWithAck("echo", number), number);
      }
      assert.equal(await socket.timeout(5000).emitWithAck("transport"), way === "polling" ? "polling" : "websocket");
    }));
  });
}

/** F-INT-06, F-COR-02 */
test("the server knows the client and the origin that the balancer sees, and not what the client makes up", async () => {
  const forged = { "x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.org", "x-forwarded-proto": "https" };
  const client = await new Poller({ from: "127.0.9.1", headers: forged }).open();
  const { peer } = await client.call("handshake");
  assert.match(peer, /^127\.0\.9\.1:/);

  for (const [origin, headers, status] of [
    [URL_BASE, {}, 200],
    ["http://evil.org", {}, 400],
    ["https://evil.org", forged, 400],
    ["http://evil.org", { "x-forwarded-host": "evil.org" }, 400],
    [URL_BASE, forged, 200],
  ]) {
    const response = await request("GET", POLLING, { headers: { ...headers, origin } });
    assert.equal(response.status, status, `${origin} ${JSON.stringify(headers)}: ${response.text}`);
  }
});

/** F-INT-06: whoever reaches a server past its proxy is nobody's proxy. */
test("forwarding headers count from the proxy alone", async () => {
  const [{ address }] = Backend.all();
  const evil = { "x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.org", "x-forwarded-proto": "http" };
  const client = await new Poller({ at: address, from: "127.0.9.1", headers: evil }).open();
  assert.match((await client.call("handshake")).peer, /^127\.0\.9\.1:/);
  const headers = { ...evil, origin: "http://evil.org" };
  assert.equal((await request("GET", POLLING, { at: address, from: "127.0.9.1", headers })).status, 400);
  // The same from where the proxy is.
  assert.equal((await request("GET", POLLING, { at: address, from: "127.0.0.1", headers })).status, 200);
});

/** F-INT-06 */
test("a WebSocket's client is known, too", async () => {
  const url = `${URL_BASE.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const socket = new WebSocket(url, { localAddress: "127.0.9.1", headers: { "x-forwarded-for": "6.6.6.6" } });
  const packet = await new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (data) => {
      const text = `${data}`;
      if (text.startsWith("0")) socket.send("40");
      if (text.startsWith("40")) socket.send('420["handshake"]');
      if (text.startsWith("430")) resolve(text);
    });
  });
  socket.close();
  assert.match(JSON.parse(packet.slice(3))[0].peer, /^127\.0\.9\.1:/);
});

/** F-PRO-08: the balancer lets bodies through up to the server's own limit, and the server says no. */
test("large bodies are the server's to refuse", async () => {
  const client = await new Poller().open();
  const text = "x".repeat(900_000);
  assert.equal((await client.call("echo", text)).length, text.length);
  await assert.rejects(client.call("echo", "x".repeat(1_100_000)), /^Error: 413/);
});
