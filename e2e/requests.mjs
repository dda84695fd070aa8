// Being asked without a browser at the platform: a caller shows a code, the bank's clerk uses it, the caller answers.

import { Device } from "./browser.mjs";

/** `caller` has a certificate; the clerk sits at the bank's call centre. */
export async function requests(browser, ready, way, report, { caller, consented }) {
  const { page } = caller;
  const clerk = await Device.make(browser, ready, way, report);
  const desk = `${ready.platforms.find((served) => served.client_id === "clay-jar-bank").url}/call`;
  const look = (device, name) => (way.size === "large" ? undefined : device.look(name));
  const called = async (about) => {
    await caller.go("/requests");
    await page.waitForSelector("[data-wait]:enabled");
    await caller.click("[data-wait]");
    await page.waitForSelector("[data-view='code']:not([hidden])");
    const code = await page.locator("[data-code]").innerText();
    report.check(/^\d{5} \d{5}$/.test(code), `a code of ten digits: ${code}`);
    await caller.look("/requests with a code");
    await clerk.go(desk);
    await clerk.page.fill("#code", code);
    await clerk.page.fill("#about", about);
    await clerk.click("#ask");
    await clerk.page.waitForSelector("#look");
  };
  const asked = async (about) => {
    await called(about);
    await caller.at("/sign-in");
    await consented(caller);
    report.equal(await page.locator("[data-binding]").innerText(), about, "the wallet shows the words that the clerk says");
    report.check(await page.locator("[data-view='waiting']").isVisible(), "and warns of calls");
    report.equal(await page.locator("#elsewhere").count(), 0, "and offers no other device");
  };

  await caller.go("/requests");
  await page.waitForSelector("#act:enabled");
  await caller.look("/requests");
  await caller.click("#act");
  await page.waitForFunction(() => document.querySelector("[data-status]").textContent === document.querySelector("[data-text='nothing']").textContent);
  report.passed += 1;

  await clerk.go(desk);
  await look(clerk, "platform call centre");
  await clerk.page.fill("#code", "0000000001");
  await clerk.click("#ask");
  await clerk.page.waitForSelector("[role='alert']");
  await look(clerk, "platform call centre alert");

  await asked("0427");
  await caller.look("/sign-in asked without a browser");
  await clerk.click("#look");
  report.equal(await clerk.page.locator("#sub").count(), 0, "the clerk sees nothing before the answer");
  await caller.submit("#act");
  await caller.at("/requests");
  await page.waitForSelector("[data-view='agreed']:not([hidden])");
  await caller.look("/requests agreed");
  await clerk.page.waitForTimeout(200);
  await clerk.click("#look");
  await clerk.page.waitForSelector("#sub");
  await look(clerk, "platform call centre answered");

  await asked("0428");
  await caller.click("form [data-refuse]");
  await caller.at("/requests");
  await page.waitForSelector("[data-view='refused']:not([hidden])");
  await caller.look("/requests refused");
  await clerk.click("#look");
  await clerk.page.waitForSelector("[role='alert']");
  report.passed += 1;

  // Whoever began a call sends its link to somebody with a certificate: a tab that was not asked neither shows nor answers it.
  const name = new Promise((resolve) =>
    void page.route("**/tx/*", (route) => {
      resolve(new URL(route.request().url()).pathname.split("/").at(-1));
      return route.abort();
    }),
  );
  await called("0429");
  const tx = await name;
  await page.unroute("**/tx/*");
  const led = await caller.context.newPage();
  const toNodes = [];
  led.on("request", (request) => void (new URL(request.url()).pathname.startsWith("/v1/") && toNodes.push(request.url())));
  await led.goto(`${ready.wallet}/sign-in?tx=${tx}&scanned=1`);
  await led.waitForURL((url) => url.pathname === "/refused/transaction_cookie");
  report.equal(toNodes.length, 0, `and no node is asked anything: ${toNodes}`);
  await led.close();
  await clerk.close();
}
