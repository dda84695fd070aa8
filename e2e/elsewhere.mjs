// Signing in on one browser with the wallet of another: a code that changes every second, and a number that comes back.

import jsQR from "jsqr";
import { Device } from "./browser.mjs";

/** What is in the code that the frame shows now, read from its drawing by a decoder that is not ours. */
export async function scanned(page) {
  const svg = page.frameLocator("iframe.scan").locator("svg");
  await svg.waitFor({ timeout: 15_000 });
  const drawing = await svg.evaluate((node) => ({ box: node.getAttribute("viewBox"), path: node.querySelectorAll("path")[1].getAttribute("d") }));
  return read(drawing);
}

/** A drawing of one square a module, as a picture of four points each. */
export function read({ box, path }) {
  const side = Number(box.split(" ")[2]);
  const scale = 4;
  const width = side * scale;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    for (let dy = 0; dy < scale; dy += 1) {
      for (let dx = 0; dx < scale; dx += 1) {
        const at = 4 * ((Number(y) * scale + dy) * width + Number(x) * scale + dx);
        pixels.fill(0, at, at + 3);
      }
    }
  }
  const found = jsQR(pixels, width, width);
  if (!found) throw new Error("no code is in the drawing");
  return found.data;
}

/** `phone` has a certificate; the screen is a browser without one. `ask` begins at the platform, `signedIn` ends there. */
export async function elsewhere(browser, ready, way, report, { phone, library, ask, consented }) {
  const screen = await Device.make(browser, ready, way, report);
  const { page } = screen;
  // The front's pages have no large text: they are looked at in the other size, and on the narrow screen with the pages of other origins.
  const look = (device, name) => (way.size === "large" ? undefined : device.look(name));
  const toTheCodes = async () => {
    const pending = await ask(screen);
    await screen.click("#elsewhere");
    await screen.at("/elsewhere");
    return pending;
  };

  const pending = await toTheCodes();
  await look(screen, "/elsewhere");
  await screen.click("#stop");
  await page.waitForSelector("iframe.scan", { state: "detached" });
  await look(screen, "/elsewhere stopped");
  await screen.click("#again");
  const first = await scanned(page);
  report.check(first.startsWith(`${ready.issuer}/elsewhere/scanned?`), "the code is an address of the front's");
  report.check(!first.includes(new URL(page.url()).searchParams.get("tx")), "in which the transaction is not named");
  await page.waitForTimeout(2_200);
  const second = await scanned(page);
  report.check(first !== second, "the code changes");

  await phone.go(second);
  await phone.at("/sign-in");
  await consented(phone);
  report.check(await phone.page.locator("[data-view='elsewhere']").isVisible(), "the wallet says that it began on another device");
  report.equal(await phone.page.locator("#elsewhere").count(), 0, "and offers no third one");
  await phone.look("/sign-in of another device");
  await page.frameLocator("iframe.scan").locator("svg").waitFor({ state: "detached" });
  const before = await page.locator("#progress").innerText();
  await screen.click("#look");
  await page.waitForSelector("iframe.scan", { state: "detached" });
  report.check((await page.locator("#progress").innerText()) !== before, "the screen says how far it is when it is asked");
  const again = page.waitForResponse((response) => new URL(response.url()).searchParams.has("look"));
  await screen.click("#look");
  report.equal((await again).status(), 200, "also a second time");
  await page.waitForLoadState();
  report.equal(await page.locator("#again, #stop").count(), 0, "and shows no code any more");
  await look(screen, "/elsewhere scanned");

  // Who photographed the same code comes too late.
  const thief = await Device.make(browser, ready, way, report);
  await thief.go(second);
  const why = (await thief.page.locator("main").innerText()).match(/\b(scan_stale|transaction_gone)\b/)?.[0];
  report.check(why !== undefined, `a second device is told that the code is worth nothing any more: ${why}`);
  report.equal(new URL(thief.page.url()).origin, ready.issuer, "of the front's, and no transaction");
  await thief.close();

  await phone.submit("#act");
  await phone.at("/elsewhere/number");
  await look(phone, "/elsewhere/number");
  const number = await phone.page.locator("#number").innerText();
  report.check(/^\d{4} \d{4}$/.test(number), `a number of eight digits: ${number}`);

  await page.fill("#number", number.startsWith("0") ? "10000000" : "00000000");
  await screen.submit("form:has(#number) button");
  await page.waitForSelector("#errors");
  await look(screen, "/elsewhere with a wrong number");
  await page.fill("#number", number);
  await screen.submit("form:has(#number) button");
  await page.waitForURL((url) => url.href.startsWith(library.redirectUri));
  const told = await library.finish(pending, page.url());
  report.check(Boolean(told.sub), "the screen is signed in, by the phone's person");

  const refused = await toTheCodes();
  await phone.go(await scanned(page));
  await phone.at("/sign-in");
  await consented(phone);
  await phone.click("form [data-refuse]");
  await phone.at("/elsewhere/number");
  await look(phone, "/elsewhere/number refused");
  await page.reload();
  await page.waitForSelector("#number", { state: "detached" });
  await look(screen, "/elsewhere refused");
  await screen.click("#back");
  await page.waitForURL((url) => url.href.startsWith(library.redirectUri));
  const answer = new URL(page.url()).searchParams;
  report.equal(answer.get("error"), "access_denied", "the platform hears that it was refused");
  report.equal(answer.get("state"), refused.state, "in its own request");
  await screen.close();
  return told.sub;
}
