// Clients that poll by script tags and forms, in a real browser, on a page of another origin.
//
//   WIREBIRD_URL  the server, with JSONP and older clients allowed
//   CHROMIUM      the browser (default: /usr/bin/chromium)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";

const { chromium } = createRequire(new URL("../js/package.json", import.meta.url))("playwright-core");

const SERVER = process.env.WIREBIRD_URL ?? "missing:WIREBIRD_URL";
const OLD = new URL("../js/old/node_modules/", import.meta.url);
const CLIENTS = [
  ["socket.io-client-v1", "Engine.IO 3"],
  ["socket.io-client-v2", "Engine.IO 3"],
  // The last one that polls by script tags.
  ["socket.io-client-v4.2", "Engine.IO 4"],
];
const TEXTS = [
  "plain",
  "a line\nand another\r\n, \\n and \\\\n, \ttabs, \"quotes\" & 'more' \\",
  "</script><script>window.broken = true</script><!--",
  "x".repeat(20_000),
  // What clients 1.x cannot read over polling: see ../js/old/old.test.js.
  "é€😀 日本語 \u2028\u2029",
];

describe("polling by script tags", () => {
  let browser, pages;

  before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
    pages = http.createServer((request, response) => {
      if (request.url === "/") {
        response.setHeader("Content-Type", "text/html; charset=utf-8");
        return response.end("<!doctype html><title>old page</title><body></body>");
      }
      if (!CLIENTS.some(([client]) => request.url === `/${client}`)) return response.writeHead(404).end();
      response.setHeader("Content-Type", "text/javascript");
      response.end(readFileSync(new URL(`.${request.url}/dist/socket.io.js`, OLD)));
    });
    await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  });
  after(async () => {
    await browser.close();
    pages.close();
  });

  for (const [client, protocol] of CLIENTS) {
    const { version } = createRequire(OLD)(`./${client}/package.json`);

    // F-PRO-16
    it(`carries events, acknowledgements and binary (socket.io-client ${version}, ${protocol})`, { timeout: 60_000 }, async () => {
      const page = await browser.newPage();
      const requests = [];
      page.on("request", (request) => {
        if (request.url().startsWith(SERVER)) requests.push([request.resourceType(), new URL(request.url()).searchParams]);
      });
      await page.goto(`http://127.0.0.1:${pages.address().port}/`);
      await page.addScriptTag({ url: `/${client}` });
      const texts = version.startsWith("1.") ? TEXTS.slice(0, -1) : TEXTS;
      const answers = await page.evaluate(async ([server, texts]) => {
        const socket = io(server, { forceJSONP: true, transports: ["polling"], upgrade: false, forceNew: true });
        await new Promise((resolve, reject) => {
          socket.on("connect", resolve);
          socket.on("connect_error", (error) => reject(new Error(`not connected: ${error.description ?? error}`)));
        });
        const call = (...args) => new Promise((resolve) => socket.emit(...args, resolve));
        const answers = [];
        for (const text of texts) answers.push(await call("echo", text));
        const binary = await call("echo", new Uint8Array([0, 1, 2, 255]).buffer);
        answers.push(Array.from(new Uint8Array(binary)));
        answers.push(await call("transport"));
        const ticks = [];
        socket.on("tick", (i) => ticks.push(i));
        await call("count", 100);
        while (ticks.length < 100) await new Promise((resolve) => setTimeout(resolve, 10));
        answers.push(ticks.every((tick, i) => tick === i), window.broken === undefined);
        socket.close();
        return answers;
      }, [SERVER, texts]);
      assert.deepEqual(answers, [...texts, [0, 1, 2, 255], "polling", true, true]);
      assert.ok(requests.length > 5);
      for (const [type, query] of requests) {
        assert.match(type, /^(script|document)$/);
        assert.match(query.get("j"), /^[0-9]+$/);
        assert.equal(query.get("EIO"), protocol.at(-1));
      }
      await page.close();
    });
  }
});
