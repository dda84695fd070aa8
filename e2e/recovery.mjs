// What takes days: a person whose device is gone gets another one. These journeys move the sandbox's clock.

import { Device } from "./browser.mjs";
import { advance } from "./clock.mjs";
import { apply, consented, PASSWORD } from "./journeys.mjs";
import { adults, message } from "./people.mjs";

/** Signs in at the sandbox's own sample platform, whose clock is the sandbox's, and reads the pseudonym there. */
async function pseudonym(device, ready) {
  const { page } = device;
  await page.goto(ready.platforms[0].url);
  await page.locator("form[action='/sign-in'] button").first().click();
  await device.at("/sign-in");
  await consented(device);
  await device.submit("#act");
  await page.waitForSelector("#sub", { timeout: 30_000 });
  const sub = await page.locator("#sub").textContent();
  await page.context().clearCookies({ domain: "localhost" });
  return sub;
}

async function recover(device, ready, person) {
  await apply(device, ready, person, "#evidence");
  await device.at("/enrol/device");
  await device.page.waitForSelector("#act:enabled");
  await device.submit();
  await device.at("/enrol/recover");
  await device.look("/enrol/recover known");
  await device.page.waitForSelector("#act:enabled");
  await device.submit();
  await device.at("/enrol/wait");
  await device.page.waitForSelector("[data-view='until']:not([hidden])");
}

/** A person whose device is gone gets another one after the delay; while the old one is there it can object. */
async function recovery(device, browser, ready, person) {
  const { page, report, way } = device;
  await apply(device, ready, person, "#evidence");
  await device.at("/enrol/device");
  await page.waitForSelector("#act:enabled");
  await device.submit();
  await device.at("/enrol/password");
  await page.waitForSelector("button.button:enabled");
  await page.fill("#password", PASSWORD);
  await page.fill("#password-again", PASSWORD);
  await device.submit();
  await device.at("/enrol/done", 60_000);
  const sub = await pseudonym(device, ready);

  const fresh = await Device.make(browser, ready, way, report);
  await recover(fresh, ready, person);
  await fresh.look("/enrol/wait waiting");
  await fresh.page.waitForSelector("#act:enabled");
  await fresh.submit("#act");
  await fresh.errs("veto_period", "/enrol/wait");
  report.check((await message(ready, person.phone, "recovery-notice")).params.hours === "73", "the phone on record is told");

  // The old device sees it, and objects.
  await device.go("/home");
  await page.waitForSelector("[data-view='card']:not([hidden])");
  await device.click("[data-show]");
  await page.waitForSelector("[data-view='recovery']:not([hidden])", { timeout: 20_000 });
  await device.look("/home with a recovery");
  await device.click("[data-view='recovery'] a");
  await device.at("/devices");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-list] li:nth-child(2)", { timeout: 20_000 });
  await device.look("/devices with a recovery");
  await page.locator("[data-list] li:nth-child(2) [data-remove]").click();
  await page.waitForFunction(() => document.querySelectorAll("[data-list] li").length === 1, undefined, { timeout: 20_000 });
  report.passed += 1;
  await fresh.page.waitForSelector("#act:enabled");
  await fresh.submit("#act");
  await fresh.errs("unknown_device", "/enrol/wait");
  await fresh.click("[data-forget]");
  await fresh.at("/");

  // The way beside it: the old device takes this one in at once.
  await apply(fresh, ready, person, "#evidence");
  await fresh.at("/enrol/device");
  await fresh.page.waitForSelector("#act:enabled");
  await fresh.submit();
  await fresh.at("/enrol/recover");
  await fresh.page.waitForSelector("#act:enabled");
  await fresh.click("[data-join]");
  await fresh.at("/devices/new");
  await fresh.page.waitForSelector("[data-view='make']:not([hidden]) button:enabled");

  // Another try, when the first has reached every node; and nobody objects.
  await advance(ready, 240);
  await recover(fresh, ready, person);
  await advance(ready, 73 * 3600 + 120);
  await fresh.go("/enrol/wait");
  await fresh.page.waitForSelector("#act:enabled");
  await fresh.submit("#act");
  await fresh.at("/home", 30_000);
  await fresh.page.waitForSelector("[data-view='card']:not([hidden])");
  const copies = await fresh.page.evaluate(async () => {
    const { Wallet } = await import("/assets/core.js");
    const [trust, services] = await Promise.all(["/trust.json", "/services.json"].map(async (path) => (await fetch(path)).json()));
    return (await (await Wallet.open(trust, services)).certificates.list()).length;
  });
  report.equal(copies, 10, "a recovered device has copies of the certificate");
  report.equal(await pseudonym(fresh, ready), sub, "the recovered device is the same person to a platform");
  await fresh.close();
  await device.close();
}

/** These move the sandbox's clock, so they come after everything that compares times with this machine's. */
export async function journeysThroughTime(browser, ready, way, report, position) {
  const device = await Device.make(browser, ready, way, report);
  const { plain } = await adults(device);
  await report.journey(`recovery [${way.lang} ${way.size}]`, () => recovery(device, browser, ready, plain[plain.length - 1 - position]));
}
