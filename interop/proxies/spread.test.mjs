// Several servers behind a balancer that does not keep clients on one of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Poller } from "./poller.mjs";
import { addresses, connect, URL_BASE, WebSocket } from "./servers.mjs";

/** F-SCL-01 */
test("clients that use WebSocket alone need no stickiness", async (t) => {
  await Promise.all(addresses(20).map(async (from) => {
    const socket = connect(t, from, { transports: ["websocket"], reconnection: false });
    for (let number = 0; number < 20; number++) {
      assert.equal(await socket.timeout(5000).emitWithAck("echo", number), number);
    }
  }));
  const used = await Promise.all(addresses(20).map(() => new Promise((resolve, reject) => {
    const socket = new WebSocket(`${URL_BASE.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
    socket.on("upgrade", (response) => resolve(response.headers["x-server"]));
    socket.on("open", () => socket.close());
    socket.on("error", reject);
  })));
  assert.deepEqual([...new Set(used)].sort(), ["a", "b"]);
});

/** F-SCL-01: what happens otherwise, and what the server says of it. */
test("polling needs it, and its absence has a name", async () => {
  const tries = addresses(10).map(async (from) => {
    const client = await new Poller({ from }).open();
    for (let number = 0; number < 20; number++) await client.call("echo", number);
  });
  const failed = (await Promise.allSettled(tries)).filter(({ status }) => status === "rejected");
  assert.ok(failed.length > 5, `${failed.length} of 10 failed`);
  for (const { reason } of failed) {
    assert.deepEqual([reason.status, JSON.parse(reason.text)], [400, { code: 1, message: "Session ID unknown" }]);
  }
});
