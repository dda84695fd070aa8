// Every page and every error state of the service's own table, in every way of reading.

import { Device, twoAtATime, WAYS } from "./browser.mjs";

/** Also in the dark theme, where only contrast can differ. */
const ALL = [...WAYS, { ...WAYS[0], scheme: "dark" }, { ...WAYS[3], scheme: "dark" }];

export async function routes(browser, ready, report) {
  const control = await Device.make(browser, ready, WAYS[1], report);
  await report.journey("control", () => control.control());
  await control.close();
  await twoAtATime(ALL, async (way) => {
    const device = await Device.make(browser, ready, way, report);
    // The server's markup as it is: a device without a certificate would be led away from steps it has not reached.
    await device.context.route("**/assets/elements.js", (route) => route.abort());
    await report.journey(`every page [${way.lang} ${way.size}${way.scheme ? ` ${way.scheme}` : ""}]`, async () => {
      await device.go("/help");
      const table = await device.page.evaluate(async () => (await fetch("/__routes.json")).json());
      report.check(table.length > 50, "the table of pages");
      for (const { path, address } of table) await visit(device, path, address);
    });
    await device.close();
  });
}

async function visit(device, path, address) {
  const answer = await device.go(address);
  device.report.check(answer.status() === (path === "404" ? 404 : 200), `${address}: status ${answer.status()}`);
  await device.look(address);
}

/** Pages of other origins that a person meets on the way; they have no large text, and are read on a narrow screen and in the dark too. */
const OUTSIDE = WAYS.slice(0, 2).flatMap((way) => [way, { ...way, viewport: WAYS[2].viewport }, { ...way, scheme: "dark" }]);

/** The front's own page, the persona agent's, the sample platforms' and the phones': the same looking as everywhere. */
export async function outside(browser, ready, report) {
  await twoAtATime(OUTSIDE, async (way) => {
    const device = await Device.make(browser, ready, way, report);
    const { page } = device;
    const where = `${way.lang} ${way.viewport.width}${way.scheme ? ` ${way.scheme}` : ""}`;
    const inTheSandbox = async (name) => {
      report.check(/SANDBOX/.test(await page.locator("aside.band, aside.sandbox").innerText()), `${name} says that it is the sandbox`);
      await device.look(`${name} ${way.viewport.width}`);
    };
    await report.journey(`pages of other origins [${where}]`, async () => {
      const refused = await page.goto(`${ready.issuer}/authorize?client_id=nobody`);
      report.equal(refused.status(), 400, "the front refuses a stranger");
      report.equal(new URL(page.url()).origin, ready.issuer, "with a page of its own");
      const styled = await page.evaluate(() => getComputedStyle(document.body).display);
      report.equal(styled, "flex", "which has its style sheet");
      await inTheSandbox("front refusal");
      const other = way.lang === "en" ? "zh-Hans" : "en";
      await page.goto(`${ready.issuer}/authorize?client_id=nobody&ui_locales=${other === "en" ? "en" : "zh-CN"}`);
      report.equal(await page.locator("html").getAttribute("lang"), other, "in the language that was chosen at the platform");
      await page.goto(`${ready.issuer}/logout`);
      await inTheSandbox("front signed out");
      await forEngineers(device, ready, inTheSandbox);
      const [{ client_id: asking, url: at }] = ready.platforms;
      const asked = { client_id: asking, redirect_uri: `${at}/callback`, response_type: "code", scope: "openid", state: "s", prompt: "none" };
      await page.goto(`${ready.issuer}/authorize?${new URLSearchParams({ ...asked, response_mode: "form_post" })}`);
      report.equal(new URL(page.url()).pathname, "/respond", "a response that is posted waits for a button");
      report.equal(await page.locator("form").getAttribute("action"), `${at}/callback`, "which leads to the platform");
      report.equal(await page.locator("input[name=error]").getAttribute("value"), "login_required", "with what the front says");
      await inTheSandbox("front respond");
      for (const { client_id, url } of ready.platforms) {
        await page.goto(url);
        await inTheSandbox(`platform ${client_id}`);
        await page.goto(`${url}/callback?code=none`);
        await device.look(`platform ${client_id} trouble ${way.viewport.width}`);
      }
      await page.goto(ready.platforms[0].url);
      await page.locator("form[action='/sign-in'] button").first().click();
      await page.locator("#elsewhere").click();
      await page.frameLocator("iframe.scan").locator("svg").waitFor();
      await inTheSandbox("front another device");
      await page.goBack();
      await page.locator("a[href^='/sandbox/sign-in']").click();
      await page.waitForSelector("select#persona");
      await inTheSandbox("persona agent");
      await page.locator("button[value='refuse']").click();
      await page.waitForSelector("form[action$='/refuse']");
      await inTheSandbox("persona agent refused");
      await page.goto(`${ready.wallet}/sandbox/sign-in?tx=none`);
      await inTheSandbox("persona agent trouble");
      await page.goto(`${ready.phone}/`);
      await inTheSandbox("phones");
      await page.fill("#to", "1");
      await page.locator("form button").click();
      await page.waitForSelector("[role='alert']");
      await inTheSandbox("phones alert");
    });
    await device.close();
  });
}

/** The front's pages for engineers: everything that folds is open, in both sizes; a form of the sandbox's gets an answer. */
async function forEngineers(device, ready, inTheSandbox) {
  const { page, report, way } = device;
  for (const path of ["/docs/api", "/docs/errors"]) {
    for (const size of ["normal", "large"]) {
      const answer = await page.goto(`${ready.issuer}${path}${size === "large" ? `?lang=${way.lang}&size=large` : ""}`);
      report.equal(answer.status(), 200, path);
      report.equal(await page.locator("html[data-size='large']").count(), size === "large" ? 1 : 0, `${path} is ${size}`);
      await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
      await inTheSandbox(`front ${path} ${size}`);
    }
    const dead = await page.evaluate(() => [...document.querySelectorAll("main a[href^='#']")].map((link) => link.hash.slice(1)).filter((id) => !document.getElementById(id)));
    report.equal(dead.join(" "), "", `${path} has no dead link within`);
  }
  await page.goto(`${ready.issuer}/docs/api?lang=${way.lang}`);
  const codes = await page.evaluate(() => [...new Set([...document.querySelectorAll("a[href^='/docs/errors']")].map((link) => link.hash.slice(1)).filter(Boolean))]);
  await page.goto(`${ready.issuer}/docs/errors?lang=${way.lang}`);
  const missing = await page.evaluate((ids) => ids.filter((id) => !document.getElementById(id)), codes);
  report.check(codes.length > 40 && missing.length === 0, `every code of the reference is explained ${missing.join(" ")}`);
  await page.goto(`${ready.issuer}/docs/api?lang=${way.lang}#post-token`);
  await page.evaluate(() => (document.getElementById("post-token").open = true));
  await page.fill("#post-token-grant_type", "authorization_code");
  const [sent] = await Promise.all([page.waitForResponse((response) => response.url().endsWith("/token")), page.locator("#post-token form button").click()]);
  report.equal(sent.status(), 401, "a form of the reference is answered as any client is");
}

/** Without scripts every page is there, says what to do, and plain forms work. */
export async function withoutScripts(browser, ready, report) {
  for (const way of WAYS.slice(0, 2)) {
    const device = await Device.make(browser, ready, way, report, { javaScriptEnabled: false });
    const { page } = device;
    await report.journey(`without scripts [${way.lang}]`, async () => {
      for (const path of ["/enrol/details", "/enrol/face", "/enrol/phone", "/enrol/code", "/enrol/device", "/enrol/password", "/home", "/devices", "/devices/new", "/devices/add", "/lock", "/leave", "/activity", "/hold"]) {
        await device.go(path);
        report.check(/JavaScript/.test(await page.locator("main").innerText()), `${path} says what to do without scripts`);
        report.equal(await page.locator("main form:visible").count(), 0, `${path} shows no form that cannot work`);
      }
      await device.go("/enrol");
      await page.check("#notice");
      await device.submit("form[action='/enrol/notice'] button");
      report.equal(new URL(page.url()).pathname, "/enrol/details", "the notice is accepted by a plain form");
      await device.go("/enrol");
      await page.locator("form[action='/language'] button").click();
      report.equal(await page.locator("html").getAttribute("lang"), way.lang === "en" ? "zh-Hans" : "en", "the language changes");
      report.equal(new URL(page.url()).pathname, "/enrol", "and the page stays");
      const { url } = ready.platforms[0];
      await page.goto(url);
      await page.locator("form[action='/sign-in'] button").first().click();
      report.equal(new URL(page.url()).pathname, "/sign-in", "a platform sends the browser to the wallet");
      await page.locator("#elsewhere").click();
      await page.frameLocator("iframe.scan").locator("svg").waitFor();
      report.passed += 1;
      await page.locator("#back").click();
      report.check(page.url().startsWith(url), "who sees a code for another device can go back to the platform");
      await page.goto(url);
      await page.locator("form[action='/sign-in'] button").first().click();
      await page.locator("a[href^='/sandbox/sign-in']").click();
      await page.locator("button[value='agree']").click();
      await page.locator("form[action$='/complete'] button").click();
      report.check(await page.locator("#sub").isVisible(), "an invented person signs in with plain forms");
    });
    await device.close();
  }
}
