/** Flows against offices that lie: what a wallet must refuse, and what it must survive. */

import { deepStrictEqual as equal, notDeepStrictEqual as differ, ok, rejects } from "node:assert";
import { ed25519 } from "@noble/curves/ed25519.js";
import { b64, framed, random, unb64, utf8 } from "../bytes.ts";
import { plainChallenge } from "../challenge.ts";
import { Refused, Untrusted, Wallet } from "../index.ts";
import { payloadOf } from "../jws.ts";
import { anything } from "../shape.ts";
import type { NodeIndex } from "../words.ts";
import { FakeOffices, SECTOR } from "./fake_offices.ts";
import { MemoryDatabase } from "./soft_device.mjs";
import { DETAILS, PASSWORD, empty, enrolled, lies, refused, untrusted } from "./wallets.ts";

const otherPoint = "l_HTpzGX15QmlWOMT6msD8NojE-XdLkFoU46PxcbrFhsVeg_-XoarvszrwCtsixr";

export default {
  async "enrolment survives a reload, and ends with a number and masked name"() {
    const { offices, passkeys, open, wallet } = await empty();
    equal(await wallet.status(), { kind: "empty" });
    await rejects(wallet.enrol.face(utf8("pass")), { kind: "state" });
    await wallet.enrol.start(DETAILS);
    equal((await (await open()).status()).kind, "enrolling");
    await (await open()).enrol.registerDevice("me");
    await (await open()).enrol.registerDevice("me");
    equal(passkeys.prompts, 1, "a repeated step makes no second passkey");
    await rejects(wallet.enrol.secure("12345678", []), refused("weak_password"));
    await rejects(wallet.enrol.secure("19900307", [[1990, 3, 7]]), refused("weak_password"));
    await rejects(wallet.enrol.confirm(), { kind: "state" });
    await (await open()).enrol.secure(PASSWORD, [[1990, 3, 7]]);
    await (await open()).enrol.confirm();
    const status = await (await open()).status();
    equal([status.kind, status.kind === "enrolled" && [status.number, status.maskedName]], ["enrolled", ["KQ7MX3RT2C", "王**"]]);
    await rejects(wallet.enrol.start(DETAILS), { kind: "state" });
    ok(!JSON.stringify(offices.seen.filter((one) => one.to !== "registrar")).includes("王小明"), "no node hears the name");
    ok(!JSON.stringify(offices.seen).includes(PASSWORD), "nobody hears the password");
  },

  async "different reports on one sub-key, foreign reports and too few are refused"() {
    const begun = async (places: number[], make: (offices: FakeOffices) => any) => {
      const { offices, wallet } = await empty();
      offices.lie = (_to, path, answer) => {
        if (path.endsWith("/enrol/device")) for (const at of places) answer.reports[at] = make(offices);
        return answer;
      };
      await wallet.enrol.start(DETAILS);
      return wallet.enrol.registerDevice("me");
    };
    const change = (at: number, make: (offices: FakeOffices) => any) => () => rejects(begun([at], make), untrusted);
    // One that does not verify is one fewer: two are enough, and one is not.
    const skipped = (make: (offices: FakeOffices) => any) => async () => {
      equal((await begun([0], make)).next, "confirm");
      await rejects(begun([0, 1], make), untrusted);
    };
    const element = (report: any) => ((report.commitments["12"].pseudonym = otherPoint), report);
    const foreign = (report: any) => ((report.commitments["23"] = report.commitments["12"]), report);
    await change(1, (offices) => offices.report(2, element))();
    await change(0, (offices) => offices.report(1, foreign))();
    await skipped((offices) => offices.report(1, (report) => ({ ...report, node: 2 })))();
    await skipped((offices) => offices.report(1, (report) => ({ ...report, enrolment_id: b64(random(16)) })))();
    await skipped((offices) => ({ ...offices.report(1), signature: b64(random(64)) }))();
    await skipped((offices) => offices.sign(1, "epoch-report", {}))();
    // One that missed a rotation, or is ahead of the others in one.
    await skipped((offices) => offices.report(1, (report) => ({ ...report, generation: 5 })))();
    const { offices, wallet } = await empty();
    offices.lie = (_to, path, answer) => (path.endsWith("/enrol/device") ? { ...answer, reports: [answer.reports[0], answer.reports[0]] } : answer);
    await wallet.enrol.start(DETAILS);
    await rejects(wallet.enrol.registerDevice("me"), untrusted);
  },

  async "sign-in: one prompt, an ID token under the group key, and a receipt"() {
    const { offices, passkeys, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    equal([asked.certificate.name.en, asked.purpose.id, asked.transaction.answers], ["Shop", "login", ["real", "age_over_18"]]);
    const agreed = await wallet.signIn.agree(asked, ["real"]);
    equal(passkeys.prompts, 1);
    const [header, payload, signature] = agreed.id_token.split(".");
    ok(ed25519.verify(unb64(signature!)!, utf8(`${header}.${payload}`), unb64(offices.trust.group_key)!));
    equal(payloadOf(agreed.id_token, anything), agreed.payload);
    equal(agreed.payload.hufu.answers, { real: true });
    equal(await wallet.signIn.complete(agreed), `${SECTOR}/cb?code=1`);
    const [receipt] = await wallet.receipts();
    equal([receipt!.platform.client_id, receipt!.sub, receipt!.consent.answers], ["shop", agreed.payload.sub, ["real"]]);
    const again = await wallet.signIn.agree(asked, []);
    equal(again.payload.sub, agreed.payload.sub);
    differ(again.s, agreed.s);
    equal((await wallet.receipts()).length, 2);
  },

  async "a platform that registered for it gets both nodes' halves of a subject handle, and nobody else's"() {
    const { offices, wallet } = await enrolled();
    offices.later = ["refresh", "signals"];
    const asked = await wallet.signIn.openTransaction(offices.tx);
    equal(asked.later, ["refresh", "signals"]);
    const agreed = await wallet.signIn.agree(asked, ["real"]);
    equal(agreed.handle, `${agreed.pair[0]}${agreed.pair[1]}.${agreed.pair.map((node) => b64(offices.half(node))).join(".")}`);
    await wallet.signIn.complete(agreed);
    equal(offices.seen.at(-1)!.body.handle, agreed.handle);
    // Another person's half, of the right length; none; one that is shorter.
    for (const handle of [b64(random(86)), undefined]) {
      lies(offices, "/v1/sign-in/begin", (answer) => ({ ...answer, handle }));
      await rejects(wallet.signIn.agree(asked, ["real"]), untrusted);
    }
    lies(offices, "/v1/sign-in/begin", (answer) => ({ ...answer, handle: b64(random(85)) }));
    await rejects(wallet.signIn.agree(asked, ["real"]), refused("nodes_unavailable"));
    // Nodes that make one for a platform that registered for none.
    offices.later = [];
    const plain = await wallet.signIn.openTransaction(offices.tx);
    lies(offices, "/v1/sign-in/begin", (answer) => ({ ...answer, handle: b64(random(86)) }));
    await rejects(wallet.signIn.agree(plain, ["real"]), untrusted);
    offices.lie = (_to, _path, answer) => answer;
    equal((await wallet.signIn.agree(plain, ["real"])).handle, undefined);
    // A use that this page cannot name is agreed to by nobody.
    offices.later = ["refresh", "everything"];
    await rejects(wallet.signIn.openTransaction(offices.tx), untrusted);
  },

  async "sign-in with the password: nobody hears it, two nodes harden it"() {
    const { offices, passkeys, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    const agreed = await wallet.signIn.agree(asked, ["real"], PASSWORD);
    equal([agreed.payload.acr, passkeys.prompts], ["urn:hufu:acr:certificate+password", 1]);
    const begin = offices.seen.find((one) => one.path === "/v1/sign-in/begin");
    equal(unb64(begin!.body.password)!.length, 64);
    ok(!JSON.stringify(offices.seen).includes(PASSWORD));
    lies(offices, "/v1/sign-in/password", (answer, to) => (to === 1 ? { ...answer, salt: b64(random(32)) } : answer));
    const survived = await wallet.signIn.agree(asked, [], PASSWORD);
    equal(survived.pair, [2, 3]);
    lies(offices, "/v1/sign-in/password", (answer) => ({ ...answer, partial: { ...answer.partial, proof: { c: b64(random(32).fill(1)), s: b64(random(32).fill(1)) } } }));
    await rejects(wallet.signIn.agree(asked, [], PASSWORD), untrusted);
    lies(offices, "/v1/sign-in/password", (answer) => ({ ...answer, params_id: 9 }));
    await rejects(wallet.signIn.agree(asked, [], PASSWORD), untrusted);
    offices.forge.transaction = (transaction) => ({ ...transaction, strength: "certificate+password" });
    const strong = await wallet.signIn.openTransaction(offices.tx);
    await rejects(wallet.signIn.agree(strong, []), { kind: "state" });
  },

  async "a dead or lying node is passed over without another prompt"() {
    const { offices, passkeys, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    for (const node of [1, 2, 3] as const) {
      offices.down = new Set([node]);
      const before = passkeys.prompts;
      const { pair } = await wallet.signIn.agree(asked, ["real"]);
      ok(!pair.includes(node));
      equal(passkeys.prompts - before, 1);
    }
    offices.down = new Set();
    const fakes: ((answer: any) => any)[] = [
      (answer) => ({ ...answer, evaluation: { ...answer.evaluation, pseudonym: otherPoint } }),
      (answer) => ({ ...answer, evaluation: { ...answer.evaluation, epoch: answer.evaluation.pseudonym, pseudonym: answer.evaluation.epoch } }),
      (answer) => ({ ...answer, commitments: b64(random(64)) }),
      (answer) => ({ ...answer, more: 1 }),
      () => offices.refusal("nodes_disagree", 503),
      () => new Response("<html>", { status: 502 }),
      () => "not JSON",
    ];
    for (const fake of fakes) {
      lies(offices, "/v1/sign-in/begin", (answer, to) => (to === 2 ? fake(answer) : answer));
      equal((await wallet.signIn.agree(asked, ["real"])).pair, [1, 3]);
    }
    lies(offices, "/v1/sign-in/finish", (answer, to) => (to === 3 ? { ...answer, share: b64(random(32)) } : answer));
    equal((await wallet.signIn.agree(asked, ["real"])).pair, [1, 2]);
    lies(offices, "/v1/sign-in/finish", (answer, to) => (to === 3 ? { ...answer, signing_input: `${answer.signing_input}A` } : answer));
    equal((await wallet.signIn.agree(asked, ["real"])).pair, [1, 2]);
    offices.lie = (_to, _path, answer) => answer;
    offices.down = new Set([1, 2]);
    await rejects(wallet.signIn.agree(asked, ["real"]), refused("nodes_unavailable"));
    offices.down = new Set();
    lies(offices, "/v1/sign-in/begin", () => offices.refusal("locked", 403));
    await rejects(wallet.signIn.agree(asked, ["real"]), (error: any) => {
      equal([error instanceof Refused, error.code, error.sentences.en, error.errorId, error.retryAfter], [true, "locked", "No.", "0", 2]);
      return true;
    });
  },

  async "a node that says too many, or uses an assertion up at the others, ends no sign-in"() {
    const { offices, passkeys, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    for (const node of [1, 2, 3] as const) {
      lies(offices, "/v1/sign-in/begin", (answer, to) => (to === node ? offices.refusal("too_many", 429) : answer));
      const before = passkeys.prompts;
      ok(!(await wallet.signIn.agree(asked, ["real"])).pair.includes(node));
      equal(passkeys.prompts - before, 1);
    }
    for (const liar of [1, 2, 3] as const) {
      // What the liar was shown the others have seen too often, when it comes to them with the next pair.
      const known = new Set<string>();
      offices.lie = (to, path, answer) => {
        if (path !== "/v1/sign-in/begin") return answer;
        const shown = JSON.stringify(offices.seen.filter((one) => one.path === path).at(-1)!.body.assertion);
        if (to === liar) {
          known.add(shown);
          return offices.refusal("internal", 500);
        }
        return known.has(shown) ? offices.refusal("replayed", 409) : answer;
      };
      ok(!(await wallet.signIn.agree(asked, ["real"])).pair.includes(liar));
    }
    lies(offices, "/v1/sign-in/begin", () => offices.refusal("replayed", 409));
    await rejects(wallet.signIn.agree(asked, ["real"]), refused("replayed"));
    lies(offices, "/v1/sign-in/begin", () => offices.refusal("too_many", 429));
    await rejects(wallet.signIn.agree(asked, ["real"]), refused("too_many"));
  },

  async "two nodes together cannot sign what was not agreed"() {
    const { offices, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    const hufu = (change: object) => (token: any) => ({ ...token, hufu: { ...token.hufu, ...change } });
    const other = b64(random(32));
    const forgeries: ((token: any) => any)[] = [
      (token) => ({ ...token, iss: "http://other.test" }),
      (token) => ({ ...token, aud: "other" }),
      (token) => ({ ...token, nonce: "other" }),
      ({ nonce: _, ...token }) => token,
      (token) => ({ ...token, iat: token.iat + 1 }),
      (token) => ({ ...token, auth_time: token.iat - 1 }),
      (token) => ({ ...token, exp: token.iat }),
      (token) => ({ ...token, acr: "urn:hufu:acr:certificate+password" }),
      (token) => ({ ...token, sub: other }),
      (token) => ({ ...token, name: "王小明" }),
      hufu({ ep: other }),
      hufu({ ctx: other }),
      hufu({ strength: "certificate+password" }),
      hufu({ answers: { real: true, unique: true } }),
      hufu({ answers: { real: true, name: "王小明" } }),
    ];
    for (const [at, forgery] of forgeries.entries()) {
      offices.forge.token = forgery;
      await rejects(wallet.signIn.agree(asked, ["real"]), untrusted, `forgery ${at}`);
    }
    offices.forge = { header: { alg: "none" } };
    await rejects(wallet.signIn.agree(asked, ["real"]), untrusted);
    offices.forge = { header: { alg: "EdDSA", typ: "dc+sd-jwt" } };
    await rejects(wallet.signIn.agree(asked, ["real"]), untrusted);
    offices.forge = { header: { alg: "EdDSA", typ: "JWT", crit: ["x"] } };
    await rejects(wallet.signIn.agree(asked, ["real"]), untrusted);
    equal(await wallet.receipts(), []);
    offices.forge = {};
    await wallet.signIn.agree(asked, ["real"]);
  },

  async "over-asking, foreign and stale requests never reach the person"() {
    const { offices, wallet } = await enrolled();
    const transaction = (change: object) => ({ transaction: (t: any) => ({ ...t, ...change }) });
    const certificate = (change: object) => ({ certificate: (c: any) => ({ ...c, ...change }) });
    const open = () => wallet.signIn.openTransaction(offices.tx);
    const cases: [FakeOffices["forge"], object][] = [
      [transaction({ answers: ["real", "unique"] }), refused("over_asking")],
      [transaction({ answers: ["age_band"] }), refused("over_asking")],
      [transaction({ answers: ["name"] }), untrusted],
      [transaction({ tx: b64(random(32)) }), untrusted],
      [transaction({ iss: "http://other.test" }), untrusted],
      [transaction({ client_id: "other" }), untrusted],
      [transaction({ redirect_uri: "https://thief.example/cb" }), untrusted],
      [transaction({ purpose: "other" }), untrusted],
      [transaction({ exp: offices.now }), untrusted],
      [transaction({ certificate: offices.transaction() }), untrusted],
      [certificate({ root: "production" }), untrusted],
      [certificate({ exp: offices.now }), untrusted],
      [certificate({ sector_id: "https://Shop.example/" }), untrusted],
      [certificate({ more: 1 }), untrusted],
    ];
    for (const [forge, expected] of cases) {
      offices.forge = forge;
      await rejects(open(), expected, JSON.stringify(expected));
    }
    offices.forge = {};
    const impostor = new FakeOffices();
    lies(offices, `/tx/${offices.tx}`, () => impostor.transaction());
    await rejects(open(), untrusted);
    lies(offices, `/tx/${offices.tx}`, () => offices.refusal("transaction_gone", 410));
    await rejects(open(), refused("transaction_gone"));
    await rejects(wallet.signIn.openTransaction("../complete"), refused("transaction_gone"));
    offices.lie = (_to, path, answer) => (path === "/complete" ? { redirect_to: "javascript:alert(1)" } : answer);
    const agreed = await wallet.signIn.agree(await open(), ["real"]);
    await rejects(wallet.signIn.complete(agreed), untrusted);
    await rejects(wallet.signIn.agree(await open(), ["unique"]), refused("over_asking"));
  },

  async "a statement needs the row of two nodes, opens the window if it is over, and two nodes to take effect"() {
    const { offices, passkeys, wallet } = await enrolled();
    await wallet.statements.lock();
    equal(passkeys.prompts, 1);
    offices.windowOpen = false;
    await wallet.statements.unlock();
    equal(passkeys.prompts, 3);
    offices.down = new Set([3]);
    await wallet.statements.endSessions();
    ok(offices.seen.some((one) => one.path === "/v1/reports"));
    offices.down = new Set([2, 3]);
    await rejects(wallet.statements.lock(), refused("nodes_unavailable"));
    offices.down = new Set();
    lies(offices, "/v1/row", (row, to) => ({ ...row, version: to, head: b64(random(32)) }));
    await rejects(wallet.statements.lock(), refused("nodes_disagree"));
    lies(offices, "/v1/statements", (answer, to) => (to === 1 ? answer : offices.refusal("version_conflict")));
    await rejects(wallet.statements.lock(), refused("version_conflict"));
    lies(offices, "/v1/statements", (answer, to) => (to === 1 ? { ...answer, head: b64(random(32)) } : answer));
    await wallet.statements.endSessions();
    lies(offices, "/v1/statements", (answer) => ({ ...answer, head: b64(random(32)) }));
    await rejects(wallet.statements.lock(), refused("nodes_disagree"));
    // One node's bad word on the new epoch is one word fewer; two bad ones are too few.
    const spoilt = (nodes: number[]) => (answer: any, to: NodeIndex) => (nodes.includes(to) ? { ...answer, report: offices.sign(to, "report", {}) } : answer);
    lies(offices, "/v1/statements", spoilt([3]));
    await wallet.statements.endSessions();
    lies(offices, "/v1/statements", spoilt([2, 3]));
    await rejects(wallet.statements.endSessions(), untrusted);
  },

  async "recovery: the passkey waits, and then number and commitments come from two nodes that say the same"() {
    const { offices, passkeys, wallet } = await empty();
    await wallet.enrol.start(DETAILS);
    lies(offices, "/v1/enrol/device", () => offices.refusal("already_enrolled"));
    await rejects(wallet.enrol.registerDevice("x"), refused("already_enrolled"));
    const view = await wallet.enrol.recover("x");
    equal(view.next, "wait");
    equal(passkeys.prompts, 2, "one passkey is made, and signs once");
    const sent = offices.seen.at(-1)!.body;
    const challenge = plainChallenge("recover", framed(unb64(sent.ticket.id)!, unb64(sent.device.holder_key)!), sent.device.t);
    const client = JSON.parse(new TextDecoder().decode(unb64(sent.device.assertion.client_data_json)));
    equal(client.challenge, b64(challenge));
    equal(await wallet.status(), { kind: "waiting", until: view.until });
    await rejects(wallet.enrol.start(DETAILS), { kind: "state" });
    await rejects(wallet.statements.lock(), { kind: "state" });
    lies(offices, "/v1/row", () => offices.refusal("veto_period"));
    await rejects(wallet.enrol.finishRecovery(), refused("veto_period"));
    equal((await wallet.status()).kind, "waiting");
    lies(offices, "/v1/row", (row, to) => (to === 1 ? { ...row, number: "AAAAAAAAAA" } : row));
    offices.down = new Set([3]);
    await rejects(wallet.enrol.finishRecovery(), untrusted);
    lies(offices, "/v1/row", (row, to) =>
      to === 1 ? { ...row, commitments: { ...row.commitments, 12: { ...row.commitments[12], epoch: row.commitments[13].epoch } } } : row,
    );
    await rejects(wallet.enrol.finishRecovery(), untrusted);
    offices.lie = (_to, _path, answer) => answer;
    await wallet.enrol.finishRecovery();
    equal((await wallet.status()).kind, "enrolled");
    const asked = await wallet.signIn.openTransaction(offices.tx);
    equal((await wallet.signIn.agree(asked, ["real"])).payload.hufu.answers, { real: true });
    await wallet.statements.veto(b64(random(32)));
    ok(offices.seen.some((one) => one.path === "/v1/statements"));
  },

  async "a device that missed the end of sessions takes the new epoch from two nodes, and asks once more"() {
    const { offices, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    offices.endSessionsElsewhere();
    equal((await wallet.signIn.agree(asked, ["real"])).payload.hufu.answers, { real: true });
    lies(offices, "/v1/sign-in/begin", (offer) => ({ ...offer, evaluation: { ...offer.evaluation, epoch: offer.evaluation.pseudonym } }));
    await rejects(wallet.signIn.agree(asked, ["real"]), untrusted);
  },

  async "one node that is ahead alone stops nobody; without two that agree nothing is begun"() {
    const { offices, wallet } = await enrolled();
    lies(offices, "/v1/row", (row, to) => (to === 1 ? { ...row, version: row.version + 1, head: b64(random(32)) } : row));
    await wallet.statements.lock();
    const statement = JSON.parse(new TextDecoder().decode(unb64(offices.seen.at(-1)!.body.statement)));
    equal(statement.version, 1, "the newest version that two nodes share");
    offices.down = new Set([3]);
    await rejects(wallet.statements.lock(), refused("nodes_disagree"));
    offices.down = new Set();
    lies(offices, "/v1/row", (row, to) => (to === 1 ? row : { ...row, version: row.version + 1, head: b64(new Uint8Array(32)) }));
    await wallet.statements.lock();
    equal(JSON.parse(new TextDecoder().decode(unb64(offices.seen.at(-1)!.body.statement))).version, 2, "an old node stops nobody either");
  },

  async "sessions ended by a tab that closed too early: the nodes' words are carried at the next sign-in"() {
    const { offices, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    const { ep } = (await wallet.signIn.agree(asked, ["real"])).payload.hufu;
    offices.reaches = (path) => path !== "/v1/reports";
    await rejects(wallet.statements.endSessions(), refused("nodes_unavailable"));
    await rejects(wallet.signIn.agree(asked, ["real"]), refused("nodes_unavailable"));
    offices.reaches = () => true;
    differ((await wallet.signIn.agree(asked, ["real"])).payload.hufu.ep, ep, "another epoch");
    const carried = offices.seen.filter((one) => one.path === "/v1/reports").length;
    await wallet.signIn.agree(asked, ["real"]);
    equal(offices.seen.filter((one) => one.path === "/v1/reports").length, carried, "and they are carried once");
  },

  async "new keys at the nodes: the same names, no prompt more, and two reads once"() {
    const { offices, passkeys, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    const names = async () => {
      const { sub, hufu } = (await wallet.signIn.agree(asked, ["real"])).payload;
      return [sub, hufu.ep];
    };
    const before = await names();
    const reads = () => offices.seen.filter((one) => one.path === "/v1/row").length;
    equal([passkeys.prompts, reads()], [1, 0], "the control");
    offices.rotate();
    equal(await names(), before);
    equal([passkeys.prompts, reads()], [2, 3]);
    equal(await names(), before);
    equal([passkeys.prompts, reads()], [3, 3], "what was learnt is kept");
    offices.rotate();
    await wallet.statements.endSessions();
    const after = await names();
    equal(after[0], before[0]);
    differ(after[1], before[1]);
    // A node that invents a generation gains nothing, not even a question.
    lies(offices, "/v1/sign-in/begin", (offer, to) => (to === 1 ? { ...offer, generation: 9 } : offer));
    const seen = reads();
    equal(await names(), after);
    equal(reads(), seen);
  },

  async "new keys: a node that lies about one of them is outvoted, and two that lie alike do not have the sum"() {
    const { offices, wallet } = await enrolled();
    const asked = await wallet.signIn.openTransaction(offices.tx);
    const { sub } = (await wallet.signIn.agree(asked, ["real"])).payload;
    const lie = (row: any) => ({ ...row, commitments: { ...row.commitments, "12": { ...row.commitments["12"], pseudonym: row.commitments["13"].pseudonym } } });
    for (const liar of [1, 2, 3]) {
      offices.rotate();
      lies(offices, "/v1/row", (row, to) => (to === liar ? lie(row) : row));
      equal((await wallet.signIn.agree(asked, ["real"])).payload.sub, sub);
    }
    const held = JSON.stringify((await wallet.exportAll()).wallet);
    offices.rotate();
    lies(offices, "/v1/row", lie);
    await rejects(wallet.signIn.agree(asked, ["real"]), (error: any) => error.kind === "untrusted" && /another sum/.test(error.message));
    equal(JSON.stringify((await wallet.exportAll()).wallet), held, "and nothing of it is kept");
    offices.lie = (_to, _path, answer) => answer;
    equal((await wallet.signIn.agree(asked, ["real"])).payload.sub, sub);
  },

  async "enrolment: a node that dies between device and password stops nobody"() {
    for (const dead of [1, 2, 3] as const) {
      const { offices, passkeys, wallet } = await empty();
      await wallet.enrol.start(DETAILS);
      await wallet.enrol.registerDevice("me");
      offices.down = new Set([dead]);
      const before = passkeys.prompts;
      await wallet.enrol.secure(PASSWORD, []);
      ok(passkeys.prompts - before <= 2, "at most one prompt more");
      await wallet.enrol.confirm();
      const confirm = offices.seen.find((one) => one.path === "/v1/enrol/confirm")!;
      equal(confirm.body.ready.map((one: any) => one.office), ["node-1", "node-2", "node-3"].filter((name) => name !== `node-${dead}`));
    }
    const { offices, wallet } = await empty();
    await wallet.enrol.start(DETAILS);
    await wallet.enrol.registerDevice("me");
    offices.down = new Set([1, 3]);
    await rejects(wallet.enrol.secure(PASSWORD, []), refused("nodes_unavailable"));
    await rejects(wallet.enrol.confirm(), { kind: "state" });
    offices.down = new Set();
    lies(offices, "/v1/enrolments/device", (answer, to) => (to === 2 ? {} : answer));
    await wallet.enrol.secure(PASSWORD, []);
    lies(offices, "/v1/enrolments/device", () => offices.refusal("enrolment_gone", 410));
    await rejects(wallet.enrol.secure(PASSWORD, []), refused("enrolment_gone"));
  },

  async "copies of the certificate are asked for when there are none, when they have expired and when they say an old number"() {
    const { offices, passkeys, wallet } = await enrolled();
    const issued = () => offices.seen.filter((one) => one.path === "/v1/signing/finish").length / 2;
    equal((await wallet.certificates.current()).claims.number, offices.number);
    equal([issued(), passkeys.prompts], [1, 0]);
    equal((await wallet.certificates.current()).claims.age_band, "18_or_over");
    equal(issued(), 1, "what is here and holds is used");
    offices.now += 86_400;
    ok((await wallet.certificates.current()).expires > offices.now);
    equal(issued(), 2);
    const number = await wallet.statements.replaceNumber();
    equal(await wallet.certificates.list(), [], "the old number is on no copy that is kept");
    equal((await wallet.certificates.current()).claims.number, number);
    equal(issued(), 3);
    offices.copiesExpire = offices.now;
    offices.now += 86_400;
    await rejects(wallet.certificates.current(), untrusted, "copies that are born expired");
  },

  async "another device: offered, added, joined; a stranger's answer is refused"() {
    const first = await enrolled();
    const second = await empty(first.offices);
    const offer = await second.wallet.statements.offerDevice("tablet");
    await rejects(second.wallet.statements.joinDevice(offer), untrusted);
    await rejects(first.wallet.statements.addDevice("nonsense"), untrusted);
    const welcome = await first.wallet.statements.addDevice(` ${offer.slice(0, 20)}\n${offer.slice(20)}`);
    const third = await empty(first.offices);
    await third.wallet.statements.offerDevice("thief");
    await rejects(third.wallet.statements.joinDevice(welcome), untrusted);
    await second.wallet.statements.joinDevice(welcome);
    const status = await second.wallet.status();
    equal(status.kind === "enrolled" && status.number, "KQ7MX3RT2C");
    const asked = await second.wallet.signIn.openTransaction(first.offices.tx);
    const [a, b] = [await second.wallet.signIn.agree(asked, []), await first.wallet.signIn.agree(asked, [])];
    equal(a.payload.sub, b.payload.sub);
    await rejects(second.wallet.statements.offerDevice("again"), { kind: "state" });
  },

  async "leaving forgets everything; so does a sandbox made anew, and production does not mix with it"() {
    const { offices, database, open, wallet } = await enrolled();
    const kept = [...database.values.keys()];
    ok(kept.includes("key/holder") && kept.includes("record/profile"));
    await wallet.statements.leave();
    equal([...database.values.keys()], ["root"]);
    equal(await wallet.status(), { kind: "empty" });
    const other = await enrolled(offices);
    const anew = await Wallet.open({ ...offices.trust, root_id: b64(random(16)) }, offices.offices, { database: other.database });
    equal(await anew.status(), { kind: "empty" });
    equal((await open().then((one) => one.status())).kind, "empty");
    const third = await enrolled(offices);
    const production = { ...offices.trust, root: "production" };
    await rejects(Wallet.open(production, offices.offices, { database: third.database }), refused("wrong_root"));
    equal((await third.wallet.status()).kind, "enrolled");
    const real = new MemoryDatabase();
    await Wallet.open(production, offices.offices, { database: real });
    await rejects(Wallet.open({ ...production, root_id: b64(random(16)) }, offices.offices, { database: real }), refused("wrong_root"));
    await rejects(Wallet.open({ ...offices.trust, group_key: offices.trust.group_shares[0] }, offices.offices, { database }), untrusted);
    await rejects(Wallet.open({}, offices.offices, { database }), (error: unknown) => error instanceof Untrusted);
  },

  async "the export says everything, and holds no key"() {
    const { offices, wallet } = await enrolled();
    await wallet.signIn.agree(await wallet.signIn.openTransaction(offices.tx), ["real"]);
    offices.windowOpen = false;
    const exported = await wallet.exportAll();
    equal(exported.nodes.map((one) => one.row?.number), ["KQ7MX3RT2C", "KQ7MX3RT2C", "KQ7MX3RT2C"]);
    equal(exported.receipts.length, 1);
    const text = JSON.stringify(exported);
    ok(!text.includes("privateKey") && !text.includes('"d":') && !text.includes(PASSWORD));
  },
};
