// A platform of the sandbox: a client that we did not write (openid-client), with the platform's own key. The browser comes back
// to the platform's page, which did not begin this sign-in and leaves the code alone.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as oidc from "openid-client";

const ES256 = { name: "ECDSA", namedCurve: "P-256" };

export class Platform {
  #config;
  #dpop;

  static async named(clientId, ready) {
    const platform = new Platform();
    const jwk = JSON.parse(readFileSync(join(ready.data, "platforms", `${clientId}.key.json`), "utf8"));
    const { kid, d, crv, kty, x, y } = jwk;
    const key = await crypto.subtle.importKey("jwk", { crv, d, kty, x, y }, ES256, false, ["sign"]);
    platform.clientId = clientId;
    platform.redirectUri = `${ready.platforms.find((served) => served.client_id === clientId).url}/callback`;
    platform.#config = await oidc.discovery(
      new URL(ready.issuer),
      clientId,
      { token_endpoint_auth_method: "private_key_jwt", id_token_signed_response_alg: "EdDSA" },
      oidc.PrivateKeyJwt(kid ? { key, kid } : key),
      { execute: [oidc.allowInsecureRequests] },
    );
    const pair = await oidc.randomDPoPKeyPair("ES256");
    platform.#dpop = oidc.getDPoPHandle(platform.#config, pair);
    return platform;
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
    const url = await oidc.buildAuthorizationUrlWithPAR(this.#config, parameters, { DPoP: this.#dpop });
    return { url: url.href, pending };
  }

  /** What the platform learns of the person, from the address the browser came back to. */
  async finish(pending, callback) {
    const tokens = await oidc.authorizationCodeGrant(
      this.#config,
      new URL(callback),
      { pkceCodeVerifier: pending.verifier, expectedState: pending.state, expectedNonce: pending.nonce },
      undefined,
      { DPoP: this.#dpop },
    );
    return tokens.claims();
  }
}
