// A platform of the sandbox: a client that we did not write (openid-client), with the platform's own key, or its secret where it is
// one of those that sign in by plain OpenID Connect. The browser comes back to the platform's page, which did not begin this sign-in
// and leaves the code alone.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as oidc from "openid-client";

const ES256 = { name: "ECDSA", namedCurve: "P-256" };

async function privateKeyJwt(path) {
  const { kid, d, crv, kty, x, y } = JSON.parse(readFileSync(path, "utf8"));
  const key = await crypto.subtle.importKey("jwk", { crv, d, kty, x, y }, ES256, false, ["sign"]);
  return oidc.PrivateKeyJwt(kid ? { key, kid } : key);
}

export class Platform {
  #config;
  #dpop;

  static async named(clientId, ready) {
    const platform = new Platform();
    const file = (kind) => join(ready.data, "platforms", `${clientId}.${kind}`);
    const ordinary = existsSync(file("secret"));
    platform.clientId = clientId;
    platform.redirectUri = `${ready.platforms.find((served) => served.client_id === clientId).url}/callback`;
    platform.#config = await oidc.discovery(
      new URL(ready.issuer),
      clientId,
      { id_token_signed_response_alg: "EdDSA" },
      ordinary ? oidc.ClientSecretBasic(readFileSync(file("secret"), "utf8")) : await privateKeyJwt(file("key.json")),
      { execute: [oidc.allowInsecureRequests] },
    );
    if (!ordinary) platform.#dpop = oidc.getDPoPHandle(platform.#config, await oidc.randomDPoPKeyPair("ES256"));
    return platform;
  }

  get #proof() {
    return this.#dpop && { DPoP: this.#dpop };
  }

  /** Where to send the browser, and what to remember. Refused requests throw the front's answer. */
  async begin({ answers = [], purpose, password = false }) {
    const verifier = oidc.randomPKCECodeVerifier();
    const pending = { verifier, state: oidc.randomState(), nonce: oidc.randomNonce() };
    const parameters = {
      redirect_uri: this.redirectUri,
      scope: ["openid", ...answers.map((answer) => `hufu:${answer}`)].join(" "),
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
    };
    if (purpose) parameters.hufu_purpose = purpose;
    if (password) parameters.acr_values = "urn:hufu:acr:certificate+password";
    const url = await oidc.buildAuthorizationUrlWithPAR(this.#config, parameters, this.#proof);
    return { url: url.href, pending };
  }

  /** What the platform learns of the person, from the address the browser came back to. */
  async finish(pending, callback) {
    const tokens = await oidc.authorizationCodeGrant(
      this.#config,
      new URL(callback),
      { pkceCodeVerifier: pending.verifier, expectedState: pending.state, expectedNonce: pending.nonce },
      undefined,
      this.#proof,
    );
    return tokens.claims();
  }
}
