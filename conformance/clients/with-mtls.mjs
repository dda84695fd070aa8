// openid-client with a TLS certificate in place of keys (RFC 8705): tls_client_auth, and access tokens bound to the certificate.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as client from 'openid-client'
import { BASIC_REDIRECT, check, ready } from './sandbox.mjs'
import { signIn } from './persona.mjs'

const CLIENT = 'judge-mtls'

/** A certificate of the sandbox's authority in the name of a client, and its key. */
function issued(name) {
  const folder = mkdtempSync(join(tmpdir(), 'hufu-mtls-'))
  try {
    execFileSync(process.env.HUFU_BIN, ['platform', 'new', name, '--mtls', '--dir', folder, '--data', ready.data])
    return { cert: readFileSync(join(folder, `${name}.crt`)), key: readFileSync(join(folder, `${name}.key`)) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** fetch, with this certificate where one is asked for. */
const fetchWith = (own) => (url, options) => {
  if (!String(url).startsWith(`${ready.mtls}/`)) return fetch(url, options)
  const headers = Object.fromEntries(new Headers(options.headers))
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: options.method, headers, ca: readFileSync(ready.mtls_ca), agent: false, ...own })
    asked.on('error', reject)
    asked.on('response', (answer) => {
      const parts = []
      answer.on('error', reject)
      answer.on('data', (part) => parts.push(part))
      answer.on('end', () => {
        const kept = ['content-type', 'www-authenticate'].filter((name) => answer.headers[name])
        const headers = Object.fromEntries(kept.map((name) => [name, answer.headers[name]]))
        resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers }))
      })
    })
    asked.end(options.body ? String(options.body) : undefined)
  })
}

async function configured(own) {
  const metadata = { id_token_signed_response_alg: 'EdDSA', use_mtls_endpoint_aliases: true }
  const config = await client.discovery(new URL(ready.issuer), CLIENT, metadata, client.TlsClientAuth(), {
    execute: [client.allowInsecureRequests],
    [client.customFetch]: fetchWith(own),
  })
  client.enableNonRepudiationChecks(config)
  return config
}

async function pushed(config) {
  const verifier = client.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
  const url = await client.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: BASIC_REDIRECT,
    scope: 'openid',
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  return { url, checks: { pkceCodeVerifier: verifier, expectedState, expectedNonce, idTokenExpected: true } }
}

export async function checks({ adult }) {
  // Offices apart are configured without; ring clients starts a sandbox with.
  if (!ready.mtls) return
  const [own, other] = [issued(CLIENT), issued('judge-other')]
  await check('openid-client: FAPI 2.0 with tls_client_auth, tokens bound to the certificate', async () => {
    const config = await configured(own)
    assert.ok(config.serverMetadata().mtls_endpoint_aliases.token_endpoint.startsWith(ready.mtls))
    const { url, checks } = await pushed(config)
    const tokens = await client.authorizationCodeGrant(config, await signIn(url, ready.wallet, { persona: adult }), checks)
    assert.equal(tokens.token_type, 'bearer')
    const { sub } = tokens.claims()
    assert.equal((await client.fetchUserInfo(config, tokens.access_token, sub)).sub, sub)
    const told = await client.tokenIntrospection(config, tokens.access_token)
    assert.equal(Buffer.from(told.cnf['x5t#S256'], 'base64url').length, 32)
    await assert.rejects(client.fetchUserInfo(await configured(other), tokens.access_token, sub))
    const openly = await fetch(`${ready.issuer}/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } })
    assert.equal(openly.status, 401)
  })
  await check('openid-client: another platform\'s certificate is invalid_client', async () => {
    await assert.rejects(pushed(await configured(other)), (thrown) => {
      assert.equal(thrown.error ?? thrown.cause?.error, 'invalid_client')
      return true
    })
  })
}
