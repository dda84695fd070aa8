// A platform, as small as FAPI 2.0 allows: pushes a request (private_key_jwt, DPoP, PKCE), reads the redirect, redeems the
// code, verifies the ID token under the pinned group key. Not our client engine: a second reading of the specifications.

const { subtle } = globalThis.crypto;
const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const random = (length = 32) => b64(crypto.getRandomValues(new Uint8Array(length)));
const ES256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const sha256 = async (text) => b64(await subtle.digest("SHA-256", Buffer.from(text)));
const now = () => Math.floor(Date.now() / 1000);

async function jws(key, header, payload) {
  const input = [header, payload].map((part) => b64(Buffer.from(JSON.stringify(part)))).join(".");
  return `${input}.${b64(await subtle.sign(ES256, key, Buffer.from(input)))}`;
}

/** One platform of the sandbox with its private JWK, acting in one browser whose cookies are `jar`. */
export class Platform {
  constructor({ issuer, groupKey, clientId, redirectUri, jwk }) {
    Object.assign(this, { issuer, groupKey, clientId, redirectUri, jwk });
  }

  async #keys() {
    this.key ??= await subtle.importKey("jwk", { kty: this.jwk.kty, crv: this.jwk.crv, x: this.jwk.x, y: this.jwk.y, d: this.jwk.d }, ES256, false, ["sign"]);
    if (!this.dpop) {
      const pair = await subtle.generateKey(ES256, true, ["sign", "verify"]);
      const { crv, kty, x, y } = await subtle.exportKey("jwk", pair.publicKey);
      this.dpop = { key: pair.privateKey, jwk: { crv, kty, x, y }, jkt: await sha256(JSON.stringify({ crv, kty, x, y })) };
    }
  }

  async #post(path, parameters) {
    await this.#keys();
    const url = `${this.issuer}${path}`;
    const claims = { iss: this.clientId, sub: this.clientId, aud: this.issuer, jti: random(16), iat: now(), exp: now() + 60 };
    const header = { alg: "ES256", ...(this.jwk.kid && { kid: this.jwk.kid }) };
    const body = new URLSearchParams({
      ...parameters,
      client_id: this.clientId,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: await jws(this.key, header, claims),
    });
    const proof = await jws(this.dpop.key, { typ: "dpop+jwt", alg: "ES256", jwk: this.dpop.jwk }, { jti: random(16), htm: "POST", htu: url, iat: now() });
    const response = await fetch(url, { method: "POST", body, headers: { dpop: proof } });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Begins a sign-in: what the platform remembers, and the transaction the browser is sent to the wallet with. */
  async begin(jar, more = {}) {
    await this.#keys();
    const [state, nonce, verifier] = [random(), random(), random()];
    const pushed = await this.#post("/par", {
      response_type: "code",
      redirect_uri: this.redirectUri,
      scope: "openid",
      state,
      nonce,
      code_challenge: await sha256(verifier),
      code_challenge_method: "S256",
      ...more,
    });
    const query = new URLSearchParams({ client_id: this.clientId, request_uri: pushed.request_uri });
    const response = await fetch(`${this.issuer}/authorize?${query}`, { redirect: "manual" });
    const location = response.headers.get("location");
    if (response.status !== 303 || !location) throw new Error(`/authorize: ${response.status}`);
    jar.cookie = response.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
    return { state, nonce, verifier, tx: new URL(location).searchParams.get("tx"), at: location };
  }

  /** The person, from the address the browser comes back to. */
  async redeem(pending, address) {
    const back = new URL(address);
    const [code, state, iss] = ["code", "state", "iss"].map((name) => back.searchParams.get(name));
    if (state !== pending.state || iss !== this.issuer) throw new Error("an answer to another sign-in");
    if (!code) throw new Error(back.searchParams.get("error") ?? "no code");
    if (!address.startsWith(`${this.redirectUri}?`)) throw new Error("another address");
    const answer = await this.#post("/token", {
      grant_type: "authorization_code", code, redirect_uri: this.redirectUri, code_verifier: pending.verifier,
    });
    return this.#verified(answer.id_token, pending);
  }

  async #verified(token, pending) {
    const [header, payload, signature] = token.split(".");
    const key = await subtle.importKey("raw", Buffer.from(this.groupKey, "base64url"), { name: "Ed25519" }, false, ["verify"]);
    const input = Buffer.from(`${header}.${payload}`);
    if (!(await subtle.verify({ name: "Ed25519" }, key, Buffer.from(signature, "base64url"), input))) throw new Error("the signature does not verify");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
    const right = claims.iss === this.issuer && claims.aud === this.clientId && claims.nonce === pending.nonce && claims.exp > now();
    if (!right) throw new Error(`not our ID token: ${JSON.stringify(claims)}`);
    return claims;
  }
}
