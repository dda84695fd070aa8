// What a person does, from the first page to the last, in every way of reading.

import { Device } from "./browser.mjs";
import { elsewhere } from "./elsewhere.mjs";
import { adults, code } from "./people.mjs";
import { Platform } from "./platform.mjs";
import { requests } from "./requests.mjs";

export const PASSWORD = "30719284";

/** What the library asks of those who borrow what is for adults. */
const ADULT = { purpose: "adult", answers: ["age_over_18"] };

export async function enrolment(device, ready, person) {
  const { page, report } = device;
  await device.go("/");
  await device.look("/");
  await device.click("main a[href='/enrol']");
  await device.at("/enrol");
  await device.submit("form[action='/enrol/notice'] button");
  await device.errs("notice", "/enrol");
  await page.check("#notice");
  await device.submit("form[action='/enrol/notice'] button");

  await device.at("/enrol/details");
  await device.submit();
  await device.errs("name", "/enrol/details");
  const document = person.documents[0];
  await page.check(`input[value='${document.document_type}']`);
  await page.fill("#document-number", `${document.number.slice(0, 17)}${document.number.endsWith("1") ? "2" : "1"}`);
  await page.fill("#name", person.name);
  await device.submit();
  await device.errs("document_number", "/enrol/details");
  await page.fill("#document-number", document.number.replace(/^(.{6})(.{8})/, "$1 $2 "));
  await device.submit();

  await device.at("/enrol/face");
  await device.submit();
  await device.errs("choice", "/enrol/face");
  await page.check("#evidence");
  await device.submit();

  await device.at("/enrol/phone");
  await page.fill("#phone", "12345");
  await device.submit();
  await device.errs("phone_number", "/enrol/phone");
  await page.fill("#phone", person.phone.replace("+86", "+86 "));
  await device.submit();

  await device.at("/enrol/code");
  const sent = await code(ready, person.phone);
  await page.fill("#code", sent === "000000" ? "000001" : "000000");
  await device.submit();
  await device.errs("phone_code", "/enrol/code");
  // Pasted, with a space in the middle.
  await page.evaluate(async (text) => {
    const field = globalThis.document.getElementById("code");
    field.value = "";
    field.focus();
    const data = new DataTransfer();
    data.setData("text/plain", text);
    const allowed = field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    if (!allowed) throw new Error("pasting is prevented");
    globalThis.document.execCommand("insertText", false, text);
  }, `${sent.slice(0, 3)} ${sent.slice(3)}`);
  await device.submit();

  await device.at("/enrol/device");
  await device.look("/enrol/device");
  await device.confirms(false);
  await device.submit();
  await device.errs("device", "/enrol/device");
  await device.confirms(true);
  await device.submit();

  await device.at("/enrol/password");
  for (const [typed, again, error] of [
    ["1234", "1234", "password_shape"],
    ["12345678", "12345678", "weak_password"],
    [document.number.slice(6, 14), document.number.slice(6, 14), "weak_password"],
    [PASSWORD, "30719285", "password_again"],
  ]) {
    await page.fill("#password", typed);
    await page.fill("#password-again", again);
    await device.submit();
    await device.errs(error, "/enrol/password");
  }
  await page.fill("#password-again", PASSWORD);
  await device.submit();
  await device.at("/enrol/done", 60_000);
  await page.waitForSelector("[data-view='number']:not([hidden])");
  const number = await page.locator("[data-number]").textContent();
  report.check(/^[2-9A-HJKMNP-Z]{5}-[2-9A-HJKMNP-Z]{5}$/.test(number), `a network number: ${number}`);
  await device.look("/enrol/done enrolled");
  return number;
}

async function card(device, browser, ready, number, person) {
  const { page, report } = device;
  await device.go("/home");
  await page.waitForSelector("[data-view='card']:not([hidden])");
  report.equal(await page.locator(".card [data-number]").textContent(), number, "the card's number");
  const name = await page.locator(".card [data-name]").textContent();
  report.check(name && name !== person.name && !name.includes(person.name), `the name is masked: ${name}`);
  await device.click("[data-show]");
  await page.waitForSelector("[data-qr] svg", { timeout: 15_000 });
  await device.look("/home with code");
  const first = await page.locator("[data-pass]").textContent();
  report.check(first.split(".").length === 3, "a pass is a compact JWS");

  const offline = await page.context().newPage();
  await offline.goto(`${ready.wallet}/verify`);
  await offline.waitForFunction(() => customElements.get("hufu-verify"));
  await offline.waitForLoadState("networkidle");
  await offline.context().setOffline(true);
  for (const [pass, good] of [[first, true], [first.replace(/.$/, (last) => (last === "A" ? "Q" : "A")), false]]) {
    await offline.fill("#pass", pass);
    await offline.click("hufu-verify button");
    await offline.waitForSelector(`[data-outcome].${good ? "good" : "bad"}:not([hidden])`);
    report.passed += 1;
  }
  await offline.context().setOffline(false);
  await offline.close();

  const plain = await browser.newContext({ javaScriptEnabled: false, locale: device.way.locale });
  const form = await plain.newPage();
  await form.goto(`${ready.wallet}/verify`);
  await form.fill("#pass", first);
  await form.click("hufu-verify button");
  report.check(await form.locator(".panel.good").isVisible(), "the verifier works without scripts");
  await plain.close();
  await device.click("[data-hide]");
  report.check(!(await page.locator("[data-qr] svg").isVisible()), "the code is put away");
}

/** Sends the browser to the consent page of a platform. */
export async function ask(device, platform, wish) {
  const begun = await platform.begin(wish);
  await device.go(begun.url);
  await device.at("/sign-in");
  return begun.pending;
}

export async function consented(device) {
  await device.page.waitForSelector("form[data-view='consent']:not([hidden])", { timeout: 15_000 });
}

/** The consent page says what the platform will read: values come from copies of the certificate that this device has. */
async function valuesAreShown(device, who) {
  const shown = await device.page.locator("[data-answers]").innerText();
  const yes = device.way.lang === "en" ? /18 or older\s+Yes/ : /已满 18 周岁\s+是/;
  device.report.check(yes.test(shown), `the consent page shows ${who} the answer and its value: ${shown.slice(0, 200)}`);
}

async function signedIn(device, platform, pending) {
  await device.page.waitForURL((url) => url.href.startsWith(platform.redirectUri), { timeout: 30_000 });
  return platform.finish(pending, device.page.url());
}

async function signIn(device, library, bank) {
  const { page, report } = device;
  const pending = await ask(device, library, ADULT);
  await consented(device);
  await valuesAreShown(device, "who has just enrolled");
  const boxes = await page.locator(".equal .button").evaluateAll((buttons) => buttons.map((button) => {
    const { width, height } = button.getBoundingClientRect();
    const { backgroundColor, color, fontWeight } = getComputedStyle(button);
    return JSON.stringify([Math.round(width), Math.round(height), backgroundColor, color, fontWeight]);
  }));
  report.check(boxes.length === 2 && boxes[0] === boxes[1], `agreeing and refusing weigh the same: ${boxes}`);
  report.equal(await page.locator("form[data-view='consent'] input:checked").count(), 0, "no box is ticked beforehand");
  await device.look("/sign-in consent");
  report.check(!(await page.locator("[data-view='later']").isVisible()), "a platform that may do nothing later says nothing of it");
  const visible = (view) => page.locator(`[data-view='${view}']`).isVisible();
  report.check((await visible("direct")) && !(await visible("watched")), "of a platform that is told nothing later the service forgets within seconds");
  // A reload must not lose a transaction that is served once.
  await page.reload();
  await consented(device);
  // By keyboard alone: to the button that agrees, and Enter.
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement?.id)) === "act") break;
  }
  report.equal(await page.evaluate(() => document.activeElement?.id), "act", "Tab reaches the button that agrees");
  await page.keyboard.press("Enter");
  const claims = await signedIn(device, library, pending);
  report.equal(claims.hufu?.answers?.age_over_18, true, "the platform learns that the person is 18");
  const told = Object.keys(claims).sort().join(" ");
  report.check(!/name|birth|phone|number|email/.test(told), `and no more than it asked: ${told}`);

  const again = await ask(device, library, ADULT);
  await consented(device);
  await device.submit("#act");
  report.equal((await signedIn(device, library, again)).sub, claims.sub, "the same platform sees the same pseudonym");

  const other = await ask(device, bank, { password: true });
  await consented(device);
  report.equal(await page.locator("[data-view='later'] li").count(), 1, "what the bank may do afterwards is said before anybody agrees");
  report.check(!(await visible("direct")) && (await visible("watched")), "where changes are told later the page does not say that the service forgets within seconds");
  await device.look("/sign-in consent with what the platform may do later");
  await page.fill("#password", "11112222");
  await device.submit("#act");
  await device.errs("password_wrong", "/sign-in");
  await page.fill("#password", PASSWORD);
  await device.submit("#act");
  const strong = await signedIn(device, bank, other);
  report.equal(strong.acr, "urn:hufu:acr:certificate+password", "with the password");
  report.check(strong.sub !== claims.sub, "another platform sees another pseudonym");
  return claims.sub;
}

async function refusal(device, library) {
  const { page, report } = device;
  const pending = await ask(device, library, ADULT);
  await consented(device);
  await device.click("form [data-refuse]");
  await page.waitForURL((url) => url.href.startsWith(library.redirectUri));
  report.equal(new URL(page.url()).searchParams.get("error"), "access_denied", "refusing tells the platform that, and no more");
  report.equal(new URL(page.url()).searchParams.get("state"), pending.state, "the answer belongs to its request");

  const cancelled = await ask(device, library, ADULT);
  await consented(device);
  await device.confirms(false);
  await device.submit("#act");
  await device.errs("device", "/sign-in");
  await device.confirms(true);
  await device.submit("#act");
  await signedIn(device, library, cancelled);

  const beyond = await library.begin({ purpose: "adult", answers: ["guardian_consent"] }).then(() => "served", (error) => error.error ?? error.cause?.error ?? String(error));
  report.equal(beyond, "invalid_scope", "over-asking never reaches a person");
}

/** Who comes from a platform without a certificate on this device gets back to it. */
async function withoutCertificate(browser, ready, way, report, library) {
  const device = await Device.make(browser, ready, way, report);
  const pending = await ask(device, library, ADULT);
  await device.page.waitForSelector("[data-view='empty'] [data-refuse]:enabled");
  await device.look("/sign-in without a certificate");
  await device.click("[data-view='empty'] [data-refuse]");
  await device.page.waitForURL((url) => url.href.startsWith(library.redirectUri));
  const answer = new URL(device.page.url()).searchParams;
  report.equal(answer.get("error"), "access_denied", "without a certificate there is a way back");
  report.equal(answer.get("state"), pending.state, "and it belongs to its request");
  await device.close();
}

/** What lapses says so two minutes before (WCAG 2.2, 2.2.1), without asking anybody. */
async function timeLimits(device, library) {
  const { report } = device;
  // A page of its own: its clock is not the device's, and nothing is signed on it.
  const page = await device.context.newPage();
  await page.clock.install();
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  const told = () => page.locator("[data-time]").innerText();
  const { url } = await library.begin(ADULT);
  await page.goto(url);
  await page.waitForSelector("form[data-view='consent']:not([hidden])", { timeout: 15_000 });
  const before = requests.length;
  await page.clock.fastForward(7 * 60_000);
  report.equal(await told(), "", "three minutes before its end a sign-in says nothing");
  await page.clock.fastForward(90_000);
  report.equal(await told(), await page.locator("[data-text='lapsing']").textContent(), "two minutes before its end it says so");
  await page.clock.fastForward(120_000);
  report.equal(await told(), await page.locator("[data-text='lapsed']").textContent(), "and then that it has lapsed");
  report.equal(requests.length, before, "nobody was asked for the time");
  await page.close();
}

/** The same for an enrolment, which has an hour less what its end is rounded down to the minute. */
async function hour(browser, ready, way, report, person) {
  const device = await Device.make(browser, ready, way, report);
  const { page } = device;
  await page.clock.install();
  await begin(device, person);
  await device.at("/enrol/face");
  await page.waitForSelector("main button.button:enabled");
  const told = () => page.locator("[data-time]").innerText();
  await page.clock.fastForward(56 * 60_000);
  report.equal(await told(), "", "three minutes before its end an enrolment says nothing");
  await page.clock.fastForward(120_000);
  report.equal(await told(), await page.locator("[data-text='lapsing']").textContent(), "two minutes before its end it says so");
  await device.look("/enrol/face about to lapse");
  await page.clock.fastForward(120_000);
  report.equal(await told(), await page.locator("[data-text='lapsed']").textContent(), "and then that it has lapsed");
  await device.close();
}

/** The sandbox's own sample platform, from its page and back to it. */
async function sample(device, ready) {
  const { page, report } = device;
  const { url } = ready.platforms[0];
  await page.goto(url);
  await page.locator("form[action='/sign-in'] button").first().click();
  await device.at("/sign-in");
  await consented(device);
  await device.look("/sign-in consent of a sample platform");
  await device.submit("#act");
  await page.waitForSelector("#sub", { timeout: 30_000 });
  report.check(page.url().startsWith(url), "the person is back at the platform, signed in");
}

async function receipts(device) {
  const { page, report } = device;
  await device.go("/activity");
  await page.waitForSelector("[data-view='list']:not([hidden])");
  report.check((await page.locator("[data-view='list'] li").count()) >= 3, "each sign-in left a receipt");
  await device.look("/activity with receipts");
  await device.click("[data-view='list'] li:first-child a");
  await page.waitForSelector("[data-view='receipt']:not([hidden])");
  await device.look("/sign-in/receipt shown");
  const [file] = await Promise.all([page.waitForEvent("download"), device.click("[data-save]")]);
  report.equal(file.suggestedFilename(), "hufu-receipt.json", "a receipt is a file");
}

async function secondDevice(device, browser, ready, library, sub) {
  const { page, report, way } = device;
  const second = await Device.make(browser, ready, way, report);
  await second.go("/home");
  await second.page.waitForSelector("[data-view='empty']:not([hidden])");
  await second.look("/home empty");
  await second.go("/devices/new");
  await second.submit("form[data-view='make'] button:enabled");
  await second.page.waitForSelector("form[data-view='offer']:not([hidden])");
  await second.look("/devices/new offer");
  const offer = await second.page.locator("[data-offer]").textContent();
  const compare = await second.page.locator("[data-compare]").textContent();

  await device.go("/devices/add");
  await page.waitForSelector("#act:enabled");
  await page.fill("#offer", offer.slice(0, -6));
  await device.submit("#act");
  await page.check("#check");
  await device.submit("#act");
  await device.errs("offer", "/devices/add");
  await page.fill("#offer", offer);
  await device.submit("#act");
  await page.waitForFunction((digits) => document.querySelector("[data-compare]").textContent === digits, compare);
  report.passed += 1;
  await device.submit("#act");
  await device.errs("check", "/devices/add");
  await page.check("#check");
  await device.submit("#act");
  await page.waitForSelector("[data-view='answer']:not([hidden])", { timeout: 20_000 });
  await device.look("/devices/add answer");
  const answer = await page.locator("[data-answer]").textContent();

  await second.submit("form[data-view='offer'] button.button");
  await second.errs("answer", "/devices/new");
  await second.page.fill("#answer", answer);
  await second.submit("form[data-view='offer'] button.button");
  await second.at("/home");
  await second.page.waitForSelector("[data-view='card']:not([hidden])");
  const pending = await ask(second, library, ADULT);
  await consented(second);
  await valuesAreShown(second, "who has just joined");
  await second.submit("#act");
  report.equal((await signedIn(second, library, pending)).sub, sub, "the second device is the same person to a platform");

  await device.go("/devices");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-list] li:nth-child(2)", { timeout: 20_000 });
  await device.look("/devices list");
  const remove = page.locator("[data-list] li:not(:has-text('" + (way.lang === "en" ? "This device" : "这台设备") + "')) [data-remove]");
  await remove.click();
  await remove.click();
  await page.waitForFunction(() => document.querySelectorAll("[data-list] li").length === 1, undefined, { timeout: 20_000 });
  report.passed += 1;
  await ask(second, library, ADULT);
  await consented(second);
  await second.submit("#act");
  await second.page.waitForURL((url) => url.pathname.startsWith("/refused/") || url.href.startsWith(library.redirectUri));
  report.equal(new URL(second.page.url()).pathname, "/refused/unknown_device", "a removed device cannot sign in");
  await second.close();
}

async function changes(device, library, number) {
  const { page, report } = device;
  await device.go("/lock");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-view='done']:not([hidden])", { timeout: 20_000 });
  await device.look("/lock done");
  await ask(device, library, ADULT);
  await consented(device);
  await device.submit("#act");
  await device.at("/refused/locked");
  await device.look("/refused/locked");
  await device.click("main a[href='/lock']");
  await page.waitForSelector("[data-other]:enabled");
  await device.click("[data-other]");
  await page.waitForSelector("[data-view='done']:not([hidden])", { timeout: 20_000 });

  await device.go("/sessions");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-view='done']:not([hidden])", { timeout: 20_000 });

  await device.go("/number");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-view='done']:not([hidden])", { timeout: 20_000 });
  const fresh = await page.locator("[data-number]").textContent();
  report.check(fresh !== number && fresh.length === number.length, `another number: ${fresh}`);

  const pending = await ask(device, library, ADULT);
  await consented(device);
  await valuesAreShown(device, "whose number is new");
  await device.submit("#act");
  report.check(Boolean((await signedIn(device, library, pending)).sub), "sign-in works after unlocking, a new epoch and a new number");

  await device.go("/hold");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await page.waitForSelector("[data-view='row']:not([hidden])", { timeout: 20_000 });
  await device.look("/hold shown");
  const held = await page.locator("[data-json]").textContent();
  report.check(held.includes(fresh.replace("-", "")) && !held.includes("example.com"), "what a node holds is shown");
}

async function leaving(device) {
  const { page, report } = device;
  await device.go("/leave");
  await page.waitForSelector("#act:enabled");
  await device.submit("#act");
  await device.errs("sure", "/leave");
  await page.check("#sure");
  await device.submit("#act");
  await device.at("/left");
  await device.look("/left");
  await device.go("/home");
  await page.waitForSelector("[data-view='empty']:not([hidden])");
  report.passed += 1;
}

/** The document, without a mistake. */
async function begin(device, person) {
  const { page } = device;
  await device.go("/enrol/details");
  await page.waitForSelector("main button.button:enabled");
  const document = person.documents[0];
  await page.check(`input[value='${document.document_type}']`);
  await page.fill("#document-number", document.number);
  await page.fill("#name", person.name);
  await device.submit();
}

/** From the document to the code, without a mistake. */
export async function apply(device, ready, person, face) {
  const { page } = device;
  await begin(device, person);
  await device.at("/enrol/face");
  await page.waitForSelector("main button.button:enabled");
  await page.check(face);
  await device.submit();
  await device.at("/enrol/phone");
  await page.waitForSelector("main button.button:enabled");
  await page.fill("#phone", person.phone);
  await device.submit();
  await device.at("/enrol/code");
  await page.waitForSelector("main button.button:enabled");
  await page.fill("#code", await code(ready, person.phone));
  await device.submit();
}

/** A person whose details are not true, or whose face is another's, gets one page and no reason. */
async function notConfirmed(device, ready, person) {
  await apply(device, ready, person, "#evidence-fail");
  await device.at("/refused/details_not_confirmed");
  await device.look("/refused/details_not_confirmed");
}

/** Whom the sandbox's page of persons invites to try: each learns why not on a page of their own, after face and phone have passed. */
const STORIES = { "zhou-tiantian": "guardian_needed", "sun-jianguo": "document_expired", "song-deming": "not_eligible" };

async function stories(device, ready, all) {
  for (const [id, code] of Object.entries(STORIES)) {
    const person = all.find((one) => one.id === id);
    device.report.check(person?.story && person.try_this, `${id} has a story, and something to try`);
    await apply(device, ready, person, "#evidence");
    await device.page.waitForURL((url) => url.pathname.startsWith("/refused/") || url.pathname === "/enrol/device");
    device.report.equal(new URL(device.page.url()).pathname, `/refused/${code}`, `${id} is told on their own page`);
    await device.look(`/refused/${code} of ${id}`);
  }
}

/** There is one of each of these people, with one telephone. */
let story = Promise.resolve();
const oneAfterTheOther = (act) => (story = story.then(act, act));

export async function journeys(browser, ready, way, report, position) {
  const device = await Device.make(browser, ready, way, report);
  const library = await Platform.named("yunzhou-library", ready);
  const bank = await Platform.named("clay-jar-bank", ready);
  const name = (what) => `${what} [${way.lang} ${way.size}]`;
  const { all, plain } = await adults(device);
  const person = plain[position * 2];
  let number;
  let sub;
  await report.journey(name("enrol"), async () => void (number = await enrolment(device, ready, person)));
  if (!number) return device.close();
  // Before the card is opened: the consent page has its values without it.
  await report.journey(name("sign in"), async () => void (sub = await signIn(device, library, bank)));
  await report.journey(name("another device"), async () => {
    const steps = { phone: device, library, ask: (screen) => ask(screen, library, ADULT), consented };
    report.equal(await elsewhere(browser, ready, way, report, steps), sub, "signing in with another device is the same person to a platform");
  });
  await report.journey(name("asked without a browser"), () => requests(browser, ready, way, report, { caller: device, consented }));
  await report.journey(name("card"), () => card(device, browser, ready, number, person));
  await report.journey(name("refuse"), () => refusal(device, library));
  await report.journey(name("refuse without a certificate"), () => withoutCertificate(browser, ready, way, report, library));
  await report.journey(name("time limits"), async () => {
    await timeLimits(device, library);
    await hour(browser, ready, way, report, plain[position * 2 + 1]);
  });
  await report.journey(name("sample platform"), () => sample(device, ready));
  await report.journey(name("receipts"), () => receipts(device));
  await report.journey(name("second device"), () => secondDevice(device, browser, ready, library, sub));
  await report.journey(name("lock, sign out, replace, hold"), () => changes(device, library, number));
  await report.journey(name("leave"), () => leaving(device));
  await report.journey(name("not confirmed"), () => notConfirmed(device, ready, plain[position * 2 + 1]));
  await report.journey(name("child, expired document, deceased"), () => oneAfterTheOther(() => stories(device, ready, all)));
  await device.close();
}
