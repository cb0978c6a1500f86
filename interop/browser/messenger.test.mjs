// The example `messenger` in real browsers: Ann on a desktop, Ben on a phone, and whoever looks after them.
//
//   WIREBIRD_DEMO_URL  the page of the example `messenger`
//   WIREBIRD_SHOTS     folder for screenshots (default: none are taken)
//   CHROMIUM           the browser (default: /usr/bin/chromium)
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

const require = createRequire(new URL("../js/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const PAGE = process.env.WIREBIRD_DEMO_URL ?? "missing:WIREBIRD_DEMO_URL";
const SHOTS = process.env.WIREBIRD_SHOTS;
const CLIENT = readFileSync(new URL("../js/node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");
const WIDE = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true };

describe("the messenger in browsers", () => {
  let browser;
  let ann;
  let ben;
  const complaints = [];

  before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
    if (SHOTS) mkdirSync(SHOTS, { recursive: true });
  });
  after(async () => {
    await browser.close();
    assert.deepEqual(complaints, []);
  });

  /** A browser of its own. */
  async function context(options) {
    const context = await browser.newContext(options);
    context.setDefaultTimeout(15_000);
    // The page takes the client from the network, which need not be there.
    await context.route("https://cdn.socket.io/**", (route) => route.fulfill({ contentType: "text/javascript", body: CLIENT }));
    return context;
  }

  async function tab(context, hash = "") {
    const page = await context.newPage();
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(PAGE + hash);
    return page;
  }

  async function come(page, name) {
    await page.getByLabel("Name").fill(name);
    await page.getByRole("button", { name: "Come in" }).click();
  }

  const chats = (page, name) => page.locator(".person", { hasText: name });
  const bubble = (page, text) => page.locator(".bubble", { hasText: text });
  const write = async (page, text) => {
    await page.locator("#text").fill(text);
    await page.locator("#text").press("Enter");
  };
  const shot = (page, name) => SHOTS && page.screenshot({ path: join(SHOTS, `messenger-${name}.png`) });

  // F-DOC-01
  it("refuses names that are none, or taken, and shows who is there", async () => {
    const [hers, his] = [await context(WIDE), await context(PHONE)];
    [ann, ben] = [await tab(hers), await tab(his)];
    await come(ann, "no name");
    await ann.getByText("a name has 2 to 20 letters and digits").waitFor();
    await shot(ann, "login");
    await come(ann, "Ann");
    await ann.getByText("Nobody else is here yet.").waitFor();
    await come(ben, "Ann");
    await ben.getByText("this name is taken").waitFor();
    await come(ben, "Ben");
    await chats(ben, "Ann").getByText("online").waitFor();
    await chats(ann, "Ben").getByText("online").waitFor();
  });

  // F-DOC-01
  it("carries messages, typing notices and receipts", async () => {
    await chats(ann, "Ben").click();
    await write(ann, "Hello Ben! Is the tea ready?");
    await chats(ben, "Ann").getByLabel("1 unread").waitFor();
    await bubble(ann, "Hello Ben").getByLabel("delivered").waitFor();
    await shot(ben, "phone-list");
    await chats(ben, "Ann").click();
    await bubble(ben, "Hello Ben").waitFor();
    await bubble(ann, "Hello Ben").getByLabel("read").waitFor();
    await ben.locator("#text").pressSequentially("In five minutes");
    await ann.locator("#typing", { hasText: "Ben is typing" }).waitFor();
    await ben.locator("#text").press("Enter");
    await bubble(ann, "In five minutes").waitFor();
    await ann.locator("#typing", { hasNotText: "typing" }).waitFor();
    await write(ann, "Wonderful. I bring the biscuits, and the photograph of the heron that stood in our garden all morning, as if it had paid rent.");
    await bubble(ben, "biscuits").waitFor();
    await bubble(ann, "biscuits").getByLabel("read").waitFor();
    await write(ben, "<b>not bold</b>");
    await bubble(ann, "<b>not bold</b>").waitFor();
  });

  // F-DOC-01
  it("sends files in chunks, with progress", async () => {
    const content = Buffer.alloc(1_000_000, "heron ");
    await ann.evaluate(() => {
      window.seen = [];
      new MutationObserver(() => {
        const bar = document.querySelector("progress");
        if (bar) bar.style.setProperty("--seen", window.seen.push(bar.value));
      }).observe(document.getElementById("messages"), { childList: true, subtree: true });
    });
    await ann.locator("#file").setInputFiles({ name: "heron.jpg", mimeType: "image/jpeg", buffer: content });
    await bubble(ann, "heron.jpg").getByLabel("read").waitFor();
    assert.ok(await ann.evaluate(() => window.seen.length > 0), "a bar was shown");
    const [download] = await Promise.all([ben.waitForEvent("download"), bubble(ben, "heron.jpg").getByRole("button").click()]);
    assert.equal(download.suggestedFilename(), "heron.jpg");
    assert.ok(readFileSync(await download.path()).equals(content));
    await shot(ann, "desktop");
    await shot(ben, "phone");

    await ann.locator("#file").setInputFiles({ name: "film.mkv", mimeType: "video/x-matroska", buffer: Buffer.alloc(5_000_001) });
    await ann.getByText("a file has 1 to 5,000,000 bytes").waitFor();
    await ann.locator("#notice").getByRole("button").click();
  });

  // F-DOC-01
  it("shows the same in all tabs of a person, and when they were last seen", async () => {
    const second = await tab(ann.context());
    await chats(second, "Ben").click();
    await bubble(second, "biscuits").waitFor();
    await write(second, "from my second tab");
    await bubble(ann, "from my second tab").getByLabel("read").waitFor();
    await write(ben, "to both");
    await bubble(ann, "to both").waitFor();
    await bubble(second, "to both").waitFor();
    await second.close();
    assert.equal(await ben.locator("#presence").textContent(), "online");

    await ben.reload();
    await chats(ben, "Ann").click();
    await bubble(ben, "to both").waitFor();
    await ben.goto("about:blank");
    await ann.locator("#presence", { hasText: "last seen just now" }).waitFor();
    await write(ann, "Are you gone?");
    await bubble(ann, "gone?").getByLabel("sent").waitFor();
    await ben.goto(PAGE);
    await bubble(ann, "gone?").getByLabel("delivered").waitFor();
    await chats(ben, "Ann").getByLabel("1 unread").waitFor();
  });

  // F-DOC-01
  it("is looked after by whoever has the token", async () => {
    const admin = await tab(await context(WIDE), "#admin");
    await admin.getByLabel("Token").fill("milk");
    await admin.getByRole("button", { name: "Come in" }).click();
    await admin.getByText("wrong token").waitFor();
    await admin.getByLabel("Token").fill("tea");
    await admin.getByRole("button", { name: "Come in" }).click();
    await admin.locator("#count-online", { hasText: "2" }).waitFor();
    await admin.getByPlaceholder("An announcement").fill("We close at five");
    await admin.getByRole("button", { name: "Announce" }).click();
    for (const page of [ann, ben]) await page.locator("#notice", { hasText: "We close at five" }).waitFor();
    await shot(admin, "admin");
    await shot(ben, "phone-notice");
    await admin.locator("#online p", { hasText: "Ben" }).getByRole("button").click();
    await ben.getByText("You were disconnected.").waitFor();
    await admin.locator("#count-online", { hasText: "1" }).waitFor();
    await ben.getByRole("button", { name: "Come back" }).click();
    await chats(ann, "Ben").getByText("online").waitFor();
  });
});
