// Two people in two real browsers talk through the demo page; one of them on a phone.
//
//   WIREBIRD_DEMO_URL  the page
//   WIREBIRD_SHOTS     folder for screenshots (default: none are taken)
//   CHROMIUM           the browser (default: /usr/bin/chromium)
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { deflateSync } from "node:zlib";

const { chromium } = createRequire(new URL("../js/package.json", import.meta.url))("playwright-core");

const DEMO = new URL(process.env.WIREBIRD_DEMO_URL ?? "missing:WIREBIRD_DEMO_URL");
const SHOTS = process.env.WIREBIRD_SHOTS;
const PATIENCE = 15_000;
const WIDE = { viewport: { width: 1280, height: 800 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const id = (name) => `[data-testid="${name}"]`;
const tag = randomBytes(3).toString("hex");
const ADA = `Ada ${tag}`;
const GRACE = `Grace ${tag}`;
const ROOM = `birds-${tag}`;

/** A connection to the server that can be cut: a TCP relay in front of it. */
class Relay {
  #open = true;
  #pairs = new Set();
  #server = net.createServer((client) => {
    if (!this.#open) return client.destroy();
    const server = net.connect(Number(DEMO.port) || 80, DEMO.hostname);
    const pair = [client, server];
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) socket.on("error", end).on("close", end);
    client.pipe(server).pipe(client);
  });

  async start() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#server.address().port}${DEMO.pathname}`;
  }

  cut() {
    this.#open = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  mend() {
    this.#open = true;
  }

  stop() {
    this.cut();
    this.#server.close();
  }
}

/** A picture of its own, so that its bytes can be recognised on the wire. */
function picture(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const frame = Buffer.alloc(body.length + 8);
    frame.writeUInt32BE(data.length, 0);
    body.copy(frame, 4);
    frame.writeUInt32BE(crc32(body), body.length + 4);
    return frame;
  };
  const header = Buffer.from([...be32(width), ...be32(height), 8, 2, 0, 0, 0]);
  const rows = [];
  for (let y = 0; y < height; y++) {
    rows.push(0);
    for (let x = 0; x < width; x++) rows.push((x * 255) / width, 96 + (y * 96) / height, 160);
  }
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.from(rows))),
    chunk("tEXt", Buffer.from(`Comment\0${tag}`, "latin1")),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}
// zlib.crc32() is younger than the oldest Node that runs this.
function crc32(data) {
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
const be32 = (value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

/** One person at one browser. */
class Person {
  constructor(page) {
    this.page = page;
    this.errors = [];
    this.binary = [];
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => this.errors.push(error.stack));
    page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => typeof payload !== "string" && this.binary.push(payload));
    });
  }

  text(name) {
    return this.page.locator(id(name)).textContent();
  }

  /** Waits until the element's text matches. */
  async sees(name, pattern) {
    try {
      await this.page.waitForFunction(
        ([selector, source, flags]) => {
          const all = [...document.querySelectorAll(selector)].map((node) => node.textContent).join("\n");
          return new RegExp(source, flags).test(all);
        },
        [id(name), pattern.source, pattern.flags],
      );
    } catch {
      const now = await this.page.locator(id(name)).allTextContents();
      throw new Error(`"${name}" never matched ${pattern}; it says ${JSON.stringify(now)}`);
    }
  }

  async signIn(name) {
    await this.page.fill(id("name-input"), name);
    await this.page.click(id("sign-in"));
    await this.sees("status", /^\s*connected\s*$/i);
  }

  async join(room) {
    // On a phone, rooms and people are behind a menu.
    const menu = this.page.locator(id("menu"));
    if (await menu.isVisible()) await menu.click();
    await this.page.fill(id("room-input"), room);
    await this.page.press(id("room-input"), "Enter");
    await this.sees("room-list", new RegExp(room));
    await this.sees("member-list", new RegExp(tag));
  }

  async say(text) {
    await this.page.fill(id("message-input"), text);
    await this.page.click(id("send"));
  }

  /** Waits until every message of one's own is marked as delivered. */
  async delivered() {
    await this.page.waitForFunction((selector) => {
      const states = [...document.querySelectorAll(selector)];
      return states.length && states.every((state) => /delivered/i.test(state.textContent + (state.dataset.state ?? "")));
    }, id("message-state"));
  }

  async shot(name) {
    if (!SHOTS) return;
    mkdirSync(SHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`) });
  }
}

describe("the demo page", { timeout: 120_000 }, () => {
  const relay = new Relay();
  const browsers = [];
  let ada;
  let grace;

  const browse = async (url, options) => {
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    browsers.push(browser);
    const page = await (await browser.newContext({ locale: "en-GB", ...options })).newPage();
    const person = new Person(page);
    await page.goto(url);
    return person;
  };

  before(async () => {
    const relayed = await relay.start();
    [ada, grace] = await Promise.all([browse(relayed, WIDE), browse(DEMO.href, PHONE)]);
  });
  after(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    relay.stop();
  });

  it("sign in and join a room", async () => {
    await ada.shot("1-sign-in");
    await grace.shot("1-sign-in-phone");
    await ada.signIn(ADA);
    await ada.join(ROOM);
    await grace.signIn(GRACE);
    await grace.join(ROOM);
    for (const person of [ada, grace]) {
      for (const name of [ADA, GRACE]) await person.sees("member-list", new RegExp(name));
    }
  });

  it("both end on websocket, and the round trip is measured", async () => {
    for (const person of [ada, grace]) {
      await person.sees("transport", /^\s*websocket\s*$/i);
      await person.sees("rtt", /\d/);
    }
  });

  it("a message each way, delivered", async () => {
    const html = `<b>not bold</b> <img src=x onerror=alert(1)> 😀 ${tag}`;
    await ada.say(`Good morning ${tag}!`);
    await grace.sees("message-list", new RegExp(`Good morning ${tag}!`));
    await grace.say(html);
    await ada.sees("message-list", new RegExp(`<b>not bold</b> <img src=x onerror=alert\\(1\\)> 😀 ${tag}`));
    await Promise.all([ada.delivered(), grace.delivered()]);
    assert.equal(await ada.page.locator(id("message")).count(), 2);
    await ada.shot("2-messages");
    await grace.shot("2-messages-phone");
  });

  it("a typing notice comes and goes", async () => {
    await grace.page.locator(id("message-input")).pressSequentially("hm");
    await ada.sees("typing", new RegExp(GRACE));
    await ada.shot("3-typing");
    await grace.page.fill(id("message-input"), "");
    await ada.page.waitForFunction(([selector, name]) => !document.querySelector(selector).textContent.includes(name), [id("typing"), GRACE]);
  });

  it("an image arrives as binary, byte by byte", async () => {
    const buffer = picture(64, 48);
    await ada.page.setInputFiles(id("image-input"), { name: "sky.png", mimeType: "image/png", buffer });
    const image = grace.page.locator(`${id("message")} img`).first();
    await image.waitFor();
    assert.deepEqual(await image.evaluate(async (img) => {
      await img.decode();
      return [img.naturalWidth, img.naturalHeight];
    }), [64, 48]);
    assert.ok(grace.binary.some((frame) => buffer.equals(frame)), "a binary frame with the file's bytes");
    await ada.delivered();
    await ada.shot("4-image");
    await grace.shot("4-image-phone");
  });

  it("fits a phone of 390 px", async () => {
    const { page } = grace;
    assert.equal(await page.evaluate(() => innerWidth), 390);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= 390, "nothing sticks out sideways");
    for (const name of ["message-input", "send", "status"]) {
      const box = await page.locator(id(name)).first().boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= 390 && box.y >= 0 && box.y + box.height <= 844, `${name} is on the screen: ${JSON.stringify(box)}`);
    }
  });

  it("comes back by itself after the connection was cut, into the same room", async () => {
    relay.cut();
    await ada.sees("status", /^(?!\s*connected\s*$)/i);
    await ada.shot("5-cut");
    relay.mend();
    await ada.sees("status", /^\s*connected\s*$/i);
    await ada.sees("transport", /^\s*websocket\s*$/i);
    await ada.sees("member-list", new RegExp(GRACE));
    await grace.sees("member-list", new RegExp(ADA));
    await grace.say(`welcome back ${tag}`);
    await ada.sees("message-list", new RegExp(`welcome back ${tag}`));
    await ada.say(`thank you ${tag}`);
    await grace.sees("message-list", new RegExp(`thank you ${tag}`));
    await ada.shot("6-back");
  });

  it("no script failed", () => {
    assert.deepEqual([...ada.errors, ...grace.errors], []);
  });
});
