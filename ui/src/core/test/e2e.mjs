// The shipped wallet (ui/dist/core.js) in Node, with a passkey in software, against a running `hufu demo`:
//   hufu demo --port 0 --ready-file /tmp/ready.json &   HUFU_READY=/tmp/ready.json npm run e2e
// HUFU_PERSONS names a file of persons for a sandbox that does not list its own. Prints "N passed, M failed".

import { deepStrictEqual as equal, notDeepStrictEqual as differ, ok, rejects } from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { verifyPass, Wallet } from "../../../dist/core.js";
import { Platform } from "./platform.mjs";
import { MemoryDatabase, SoftPasskeys } from "./soft_device.mjs";

const file = process.env.HUFU_READY;
if (!file) {
  console.error("HUFU_READY names the ready file of a running `hufu demo` (--ready-file)");
  process.exit(2);
}
const ready = JSON.parse(readFileSync(file, "utf8"));
// Node does not resolve *.localhost everywhere; browsers do (RFC 6761 section 6.3).
const here = (address) => address.replace(/\/\/[a-z.]+\.localhost:/, "//localhost:");
const get = async (address) => (await fetch(here(address))).json();
const trust = await get(`${ready.wallet}/trust.json`);
const offices = await get(`${ready.wallet}/services.json`);
const PASSWORD = "19283746";

/** A browser: its cookie jar, its passkeys, its database; it checks that every office lets the wallet's scripts call. */
function browser() {
  const jar = { cookie: "", down: undefined };
  const passkeys = new SoftPasskeys(trust.wallet_origin);
  const database = new MemoryDatabase();
  const request = async (address, init) => {
    if (jar.down && address.startsWith(jar.down)) throw new TypeError("fetch failed");
    const headers = { ...init.headers, origin: trust.wallet_origin };
    if (init.credentials === "include") headers.cookie = jar.cookie;
    const response = await fetch(here(address), { ...init, headers });
    equal(response.headers.get("access-control-allow-origin"), trust.wallet_origin, `CORS of ${address}`);
    return response;
  };
  const open = () => Wallet.open(trust, offices, { fetch: request, passkeys, database });
  return { jar, passkeys, database, open };
}

/** The 81 platforms' keys lie in the sandbox's folder: each is a party of its own. */
function platforms() {
  const folder = join(ready.data, "platforms");
  return readdirSync(folder).filter((name) => name.endsWith(".key.json")).map((name) => {
    const clientId = name.replace(".key.json", "");
    return { clientId, jwk: JSON.parse(readFileSync(join(folder, name), "utf8")) };
  });
}

async function platform(clientId) {
  const { jwk } = platforms().find((one) => one.clientId === clientId);
  const options = { issuer: ready.issuer, groupKey: trust.group_key, clientId, jwk };
  // The invented platforms come back to their own sector, which leads nowhere.
  return new Platform({ ...options, redirectUri: `https://${clientId}.example/callback` });
}

/** Adults of the register with a resident identity card, in a random order: a person enrols once. */
async function candidates() {
  const given = process.env.HUFU_PERSONS;
  const persons = given ? JSON.parse(readFileSync(given, "utf8")) : await get(`${ready.wallet}/sandbox/persons.json`);
  const adults = persons.flatMap((person) => {
    const card = person.documents.find((one) => one.document_type === "resident_identity_card");
    const birth = card?.number.match(/^.{6}(\d{4})(\d{2})(\d{2})/)?.slice(1).map(Number);
    return !person.story && birth && birth[0] < new Date().getUTCFullYear() - 18 ? [{ ...person, card, birth }] : [];
  });
  return adults.map((one) => [Math.random(), one]).sort(([a], [b]) => a - b).map(([, one]) => one);
}

async function newestCode(phone) {
  const answer = await get(`${ready.phone}/messages?to=${encodeURIComponent(phone)}`);
  const [newest] = Array.isArray(answer) ? answer : answer.messages;
  return newest.params.code;
}

const person = browser();
let wallet = await person.open();
const seen = {};

/** A whole sign-in: the platform begins, the wallet agrees, the front sends back, the platform redeems. */
async function visit(which, { from = person, password, answers, more } = {}) {
  const at = await platform(which);
  const pending = await at.begin(from.jar, more);
  const own = await from.open();
  const asked = await own.signIn.openTransaction(pending.tx);
  equal(asked.certificate.client_id, which);
  const agreed = await own.signIn.agree(asked, answers ?? asked.transaction.answers, password);
  const claims = await at.redeem(pending, await own.signIn.complete(agreed));
  equal(claims, agreed.payload);
  return claims;
}

const refused = (code) => (error) => {
  equal([error.kind, error.code], ["refused", code]);
  ok(error.sentences?.en && error.sentences["zh-Hans"] && error.errorId, "sentences and an error number");
  return true;
};

const [shop, other] = platforms().map((one) => one.clientId);

const steps = {
  async "a synthetic person enrols, a reload between any two steps"() {
    const step = async (work) => work((wallet = await person.open()).enrol);
    const versions = await (await fetch(here(`${ready.wallet}/enrol`))).text();
    const noticeVersion = process.env.HUFU_NOTICE ?? versions.match(/name="notice"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="notice"/)?.slice(1).find(Boolean) ?? "2026-11";
    for (const { name, card, birth, phone } of (await candidates()).slice(0, 20)) {
      await step((enrol) => enrol.start({ documentType: card.document_type, documentNumber: card.number, name, noticeVersion }));
      equal((await step((enrol) => enrol.face(new TextEncoder().encode("pass")))).next, "phone");
      equal((await step((enrol) => enrol.phone(phone, "en"))).next, "code");
      try {
        equal((await step(async (enrol) => enrol.code(await newestCode(phone)))).next, "device");
      } catch (error) {
        if (error.code !== "already_enrolled") throw error;
        await step((enrol) => enrol.abandon());
        continue;
      }
      await step((enrol) => enrol.registerDevice("e2e"));
      await rejects(step((enrol) => enrol.secure("12345678", [birth])), { code: "weak_password" });
      await step((enrol) => enrol.secure(PASSWORD, [birth]));
      const { number } = await step((enrol) => enrol.confirm());
      const status = await wallet.status();
      equal([status.kind, status.number, status.maskedName[0]], ["enrolled", number, name[0]]);
      equal(person.passkeys.prompts, 2, "one prompt for the passkey, one for the password");
      ok(!JSON.stringify([...person.database.values]).includes(number), "nothing at rest in the clear");
      return;
    }
    throw new Error("everybody is enrolled already: hufu demo reset");
  },

  async "signs in: the platform gets an ID token of two nodes, and a pseudonym of its own"() {
    seen.first = await visit(shop);
    seen.other = await visit(other);
    differ(seen.first.sub, seen.other.sub);
    equal((await visit(shop)).sub, seen.first.sub);
    const some = await visit(shop, { answers: ["real"] });
    equal([some.sub, some.hufu.answers], [seen.first.sub, { real: true }]);
    equal((await wallet.receipts()).length, 4);
  },

  async "signs in with the password; a wrong one is refused"() {
    const claims = await visit(shop, { password: PASSWORD, more: { acr_values: "urn:hufu:acr:certificate+password" } });
    equal([claims.sub, claims.acr], [seen.first.sub, "urn:hufu:acr:certificate+password"]);
    await rejects(visit(shop, { password: "19283747" }), refused("password_wrong"));
  },

  async "refuses: the platform hears that access was denied"() {
    const at = await platform(shop);
    const pending = await at.begin(person.jar);
    await rejects(at.redeem(pending, await wallet.signIn.refuse(pending.tx)), /access_denied/);
    await rejects(wallet.signIn.openTransaction(pending.tx), refused("transaction_gone"));
  },

  async "another browser cannot finish what this one began"() {
    const at = await platform(shop);
    const pending = await at.begin(person.jar);
    const agreed = await wallet.signIn.agree(await wallet.signIn.openTransaction(pending.tx), []);
    const kept = person.jar.cookie;
    person.jar.cookie = "";
    await rejects(wallet.signIn.complete(agreed), refused("transaction_cookie"));
    person.jar.cookie = kept;
  },

  async "any one node may be away"() {
    for (const node of offices.nodes) {
      person.jar.down = node;
      const before = person.passkeys.prompts;
      equal((await visit(shop)).sub, seen.first.sub);
      equal(person.passkeys.prompts - before, 1);
    }
    person.jar.down = undefined;
  },

  async "ten copies of the certificate, each shown without the number"() {
    equal(await wallet.certificates.issue(), 10);
    const copies = await wallet.certificates.list();
    const { number } = await wallet.status();
    equal([copies.length, copies[0].claims.number, copies[0].claims.real], [10, number, true]);
    const shown = await wallet.certificates.showing(0, ["number", "age_over_18"]);
    const disclosed = shown.split("~").slice(1, -1).map((one) => JSON.parse(Buffer.from(one, "base64url").toString())[1]);
    equal(disclosed, ["age_over_18"]);
    equal(await wallet.certificates.issue(), 10);
  },

  async "a pass that a counter checks offline"() {
    const now = Math.floor(Date.now() / 1000);
    const pass = await wallet.pass();
    equal(verifyPass(pass, trust.group_key, now).expired, false);
    equal(verifyPass(pass, trust.group_key, now + 60).expired, true);
    differ(await wallet.pass(), pass);
  },

  async "reads its own rows: three nodes, one number, no name"() {
    const { nodes } = await wallet.exportAll();
    const { number } = await wallet.status();
    equal(nodes.map((one) => [one.row?.number, one.row?.status]), Array(3).fill([number, "active"]));
  },

  async "another device joins, signs in as the same person, and is removed"() {
    seen.second = browser();
    const second = await seen.second.open();
    const offer = await second.statements.offerDevice("second");
    await second.statements.joinDevice(await wallet.statements.addDevice(offer));
    equal((await visit(shop, { from: seen.second })).sub, seen.first.sub);
    equal((await wallet.row()).devices.length, 2);
    const { credential } = await second.status();
    await wallet.statements.removeDevice(credential);
    await rejects(visit(shop, { from: seen.second }), refused("unknown_device"));
    const { credential: own } = await wallet.status();
    await rejects(wallet.statements.removeDevice(own), refused("last_device"));
  },

  async "locks: nothing works but unlock"() {
    await wallet.statements.lock();
    await rejects(visit(shop), refused("locked"));
    await rejects(wallet.pass(), refused("locked"));
    await wallet.statements.unlock();
    equal((await visit(shop)).sub, seen.first.sub);
  },

  async "ends all sessions: another epoch, the same pseudonym"() {
    const before = await visit(shop);
    await wallet.statements.endSessions();
    const after = await visit(shop);
    equal([before.hufu.ep, after.sub], [seen.first.hufu.ep, seen.first.sub]);
    differ(after.hufu.ep, before.hufu.ep);
  },

  async "replaces the number"() {
    const { number } = await wallet.status();
    const replaced = await wallet.statements.replaceNumber();
    differ(replaced, number);
    equal((await wallet.row()).number, replaced);
    equal(await wallet.certificates.issue(), 10);
  },

  async "leaves: rows are gone, and this browser remembers nothing"() {
    seen.third = browser();
    const third = await seen.third.open();
    const offer = await third.statements.offerDevice("third");
    await third.statements.joinDevice(await wallet.statements.addDevice(offer));
    await wallet.statements.leave();
    equal(await wallet.status(), { kind: "empty" });
    await rejects(visit(shop, { from: seen.third }), refused("unknown_device"));
  },
};

let passed = 0;
let failed = 0;
const started = Date.now();
for (const [name, step] of Object.entries(steps)) {
  const began = Date.now();
  try {
    if (failed > 0 && passed === 0) throw new Error("nobody is enrolled");
    await step();
    passed += 1;
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.error(`FAIL ${name}\n${error?.stack ?? error}`);
  }
}
console.log(`${passed} passed, ${failed} failed (${Date.now() - started} ms)`);
process.exit(failed === 0 ? 0 : 1);
