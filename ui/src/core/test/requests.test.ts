/** Requests without a browser: what is shown, who answers, and what hides nothing. */

import { deepStrictEqual as equal, ok, rejects, throws } from "node:assert";
import { firstOpen, mayAnswer, withoutBrowser } from "../../elements/asked.ts";
import { b64, random } from "../bytes.ts";
import { hashOf } from "../challenge.ts";
import { type PersonRequest, Refused, Untrusted } from "../index.ts";
import { anything } from "../shape.ts";
import { SECTOR } from "./fake_offices.ts";
import { enrolled, refused, untrusted } from "./wallets.ts";

export default {
  async "what is asked without a browser is bound to the message that is shown, and asked by who registered for it"() {
    const { offices, wallet } = await enrolled();
    const grant = "urn:openid:params:grant-type:ciba";
    const registered = (certificate: any) => ({ ...certificate, registration: { backchannel_token_delivery_mode: "poll" } });
    const asks = (message: string | undefined, shown = message) => (t: any) => ({
      ...t, redirect_uri: grant, nonce: "", code_challenge: b64(hashOf(message ?? "")), ...(shown !== undefined && { binding_message: shown }),
    });
    offices.forge = { certificate: registered, transaction: asks("Order 0427") };
    const asked = await wallet.signIn.openTransaction(offices.tx);
    equal(asked.transaction.binding_message, "Order 0427");
    const agreed = await wallet.signIn.agree(asked, ["real"]);
    offices.forge = { certificate: registered, transaction: asks(undefined) };
    await wallet.signIn.openTransaction(offices.tx);
    const { binding_message: _, ...unsaid } = asks("Order 0427")({});
    const forgeries: ((t: any) => any)[] = [
      asks("Order 0427", "Order 9999"),
      (t) => ({ ...t, ...unsaid }),
      (t) => ({ ...asks("x")(t), nonce: "n" }),
      (t) => ({ ...asks("x")(t), redirect_uri: "urn:other" }),
    ];
    for (const transaction of forgeries) {
      offices.forge = { certificate: registered, transaction };
      await rejects(wallet.signIn.openTransaction(offices.tx), untrusted);
    }
    offices.forge = { transaction: asks("Order 0427") };
    await rejects(wallet.signIn.openTransaction(offices.tx), untrusted, "who did not register");
    // The secret goes with the answer, and the front alone says where to go on.
    const secret = b64(random(32));
    equal(await wallet.requests.complete(agreed, secret), `${SECTOR}/done`);
    equal(offices.seen.at(-1)?.body.secret, secret);
    equal(offices.seen.at(-1)?.body.answer.id_token, agreed.id_token);
    equal((await wallet.requests.wait()).code, "12345 67890");
    equal(await wallet.requests.look(secret), offices.tx);
  },

  async "what was asked without a browser is answered by who was asked alone, and told by what the front signs"() {
    const { offices, wallet } = await enrolled();
    const plain = await wallet.signIn.openTransaction(offices.tx);
    offices.forge = {
      certificate: (c: any) => ({ ...c, registration: { backchannel_token_delivery_mode: "poll" } }),
      transaction: (t: any) => ({ ...t, redirect_uri: "urn:openid:params:grant-type:ciba", nonce: "", code_challenge: b64(hashOf("")) }),
    };
    const asked = await wallet.signIn.openTransaction(offices.tx);
    ok(withoutBrowser(asked) && !withoutBrowser(plain));
    const before = offices.seen.length;
    // A link to a caller's request, in the browser of somebody else who has a certificate.
    throws(() => mayAnswer(asked, undefined), refused("transaction_cookie"));
    equal(offices.seen.length, before, "no node is asked anything");
    mayAnswer(asked, "secret");
    mayAnswer(plain, undefined);
  },

  async "a request that is over or does not check out hides no other"() {
    const requests = ["1", "2", "3"].map((tx): PersonRequest => ({ tx, secret: tx, exp: 300 }));
    const opening = (...kinds: (Error | undefined)[]) => async (tx: string) => {
      const error = kinds[Number(tx) - 1];
      if (error) throw error;
    };
    const [gone, lie] = [new Refused("transaction_gone"), new Untrusted("the transaction")];
    equal((await firstOpen(requests, opening()))?.tx, "1");
    equal((await firstOpen(requests, opening(gone, lie)))?.tx, "3");
    equal(await firstOpen(requests, opening(gone, gone, gone)), undefined);
    equal(await firstOpen([], opening()), undefined);
    await rejects(firstOpen(requests, opening(gone, lie, gone)), untrusted);
  },

  async "requests are shown that two nodes say alike"() {
    const { offices, wallet } = await enrolled();
    const one = { tx: b64(random(32)), secret: b64(random(32)), exp: offices.now + 300 };
    offices.requests = { 1: [one], 2: [], 3: [one] };
    equal(await wallet.requests.read(), [one]);
    offices.requests = { 1: [one], 2: [], 3: [] };
    equal(await wallet.requests.read(), []);
    offices.requests = { 1: [one], 2: [], 3: [{ ...one, secret: b64(random(32)) }] };
    equal(await wallet.requests.read(), []);
    offices.requests = { 1: [one, { ...one, exp: one.exp - 1 }], 2: [], 3: [] };
    equal(await wallet.requests.read(), [], "however often it says it");
    offices.requests = { 1: [one], 2: [one], 3: [one] };
    equal(await wallet.requests.read(), [one]);
    // Each node says by its own clock when it ends.
    const sooner = { ...one, exp: one.exp - 29 };
    offices.requests = { 1: [one], 2: [], 3: [sooner] };
    equal(await wallet.requests.read(), [sooner]);
  },
};
