// What nginx itself has to do, besides passing every other test through: WIREBIRD_URL is nginx.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

/** A request whose path is sent as it is; fetch() would tidy it up. */
const get = (path) => new Promise((resolve, reject) => {
  const { hostname, port } = new URL(process.env.WIREBIRD_URL);
  http.get({ hostname, port, path, agent: false }, async (response) => {
    response.setEncoding("utf8");
    let body = "";
    for await (const part of response) body += part;
    resolve({ status: response.statusCode, headers: response.headers, body });
  }).on("error", reject);
});

// F-SCL-04
test("answers come through nginx", async () => {
  const { headers } = await get("/socket.io/?EIO=4&transport=polling");
  assert.match(headers.server ?? "", /nginx/);
});

test("static files are served by nginx itself", async () => {
  const { status, body, headers } = await get("/static/hello.txt");
  assert.deepEqual([status, body], [200, "hello\n"]);
  assert.ok(headers.expires);
});

test("nothing beside the static directory can be read", async () => {
  for (const path of ["/static../secret.txt", "/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static..%2fsecret.txt"]) {
    const { status, body } = await get(path);
    assert.notEqual(status, 200, path);
    assert.doesNotMatch(body, /top secret/, path);
  }
});
