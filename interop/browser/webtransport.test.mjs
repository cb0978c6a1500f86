// The official client in a real browser, over WebTransport.
//
//   WIREBIRD_DEMO_URL  the page of the example `webtransport`
//   CHROMIUM           the browser (default: /usr/bin/chromium)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";

const require = createRequire(new URL("../js/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const PAGE = process.env.WIREBIRD_DEMO_URL ?? "missing:WIREBIRD_DEMO_URL";
const CLIENT = readFileSync(new URL("../js/node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");

describe("WebTransport in a browser", () => {
  let browser;

  before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  });
  after(() => browser.close());

  // F-PRO-17
  it("connects, and carries events and acknowledgements", async () => {
    const page = await browser.newPage();
    // The page takes the client from the network, which need not be there.
    await page.route("https://cdn.socket.io/**", (route) => route.fulfill({ contentType: "text/javascript", body: CLIENT }));
    await page.goto(PAGE);
    await page.getByText("connected by webtransport").waitFor({ timeout: 15_000 });
    for (const text of ["hello", "x".repeat(70_000), "ünïcödé 😀"]) {
      await page.locator("#text").fill(text);
      await page.locator("#text").press("Enter");
      await page.locator("li").first().getByText(text, { exact: true }).waitFor({ timeout: 15_000 });
    }
    assert.equal(await page.locator("li").count(), 3);
  });
});
