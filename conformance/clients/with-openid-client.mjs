// openid-client, a certified relying party: high-level use, as a platform's engineer would write it.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { BASIC, BASIC_REDIRECT, SECRET, check, fapi, fapiEs256, ready, trust } from './sandbox.mjs'
import { signIn } from './persona.mjs'

const issuer = new URL(ready.issuer)

async function configured(clientId, alg, authentication) {
  const metadata = { id_token_signed_response_alg: alg }
  const config = await client.discovery(issuer, clientId, metadata, authentication, {
    execute: [client.allowInsecureRequests],
  })
  client.enableNonRepudiationChecks(config)
  return config
}

/** Push, sign in, redeem, userinfo. */
async function fapiSignIn(platform, person, extra = {}, alg = 'EdDSA') {
  const config = await configured(platform.clientId, alg, client.PrivateKeyJwt(platform.key))
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const verifier = client.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
  const parameters = {
    redirect_uri: platform.redirectUri,
    scope: 'openid',
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...extra,
  }
  const url = await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
  const answer = await signIn(url, ready.wallet, person)
  const checks = { pkceCodeVerifier: verifier, expectedState, expectedNonce, idTokenExpected: true }
  const redeem = () => client.authorizationCodeGrant(config, answer, checks, undefined, { DPoP })
  const tokens = await redeem()
  const claims = tokens.claims()
  const told = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP })
  assert.deepEqual(told.hufu, claims.hufu)
  return { claims, tokens, config, DPoP, redeem }
}

async function basicSignIn(clientId, authentication, person, extra = {}) {
  const config = await configured(clientId, BASIC[clientId], authentication)
  const verifier = client.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: BASIC_REDIRECT,
    scope: 'openid profile email',
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    max_age: '0',
    ...extra,
  })
  const answer = await signIn(url, ready.wallet, person)
  const checks = { pkceCodeVerifier: verifier, expectedState, expectedNonce, idTokenExpected: true, maxAge: 300 }
  const tokens = await client.authorizationCodeGrant(config, answer, checks)
  await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  return tokens.claims()
}

const refusedWith = (error) => (thrown) => {
  assert.equal(thrown.error ?? thrown.cause?.error, error)
  return true
}

/** The claims of a security event token, under the front's own key. */
async function eventOf(set, clientId) {
  const [header, payload, signature] = set.split('.')
  const { typ, alg, kid } = JSON.parse(Buffer.from(header, 'base64url'))
  assert.deepEqual([typ, alg], ['secevent+jwt', 'PS256'])
  const { keys } = await (await fetch(`${ready.issuer}/jwks.json`)).json()
  const jwk = keys.find((one) => one.kid === kid)
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['verify'])
  const signed = Buffer.from(`${header}.${payload}`)
  assert.ok(await crypto.subtle.verify({ name: 'RSA-PSS', saltLength: 32 }, key, Buffer.from(signature, 'base64url'), signed))
  const claims = JSON.parse(Buffer.from(payload, 'base64url'))
  assert.equal(claims.aud, clientId)
  return claims
}

export async function checks({ adult, password }) {
  const person = { persona: adult }
  const [hall, tax] = [await fapi('yunzhou-hall'), await fapi('yunzhou-tax')]
  let first

  await check('openid-client: FAPI 2.0 with PAR, private_key_jwt, DPoP, iss, EdDSA', async () => {
    first = (await fapiSignIn(hall, person)).claims
    assert.equal(first.acr, 'urn:hufu:acr:certificate')
    assert.deepEqual(first.hufu.answers, { real: true, unique: true })
  })
  await check('openid-client: the same person at the same platform keeps sub, at another has another', async () => {
    assert.equal((await fapiSignIn(hall, person)).claims.sub, first.sub)
    assert.notEqual((await fapiSignIn(tax, person)).claims.sub, first.sub)
  })
  await check('openid-client: acr_values asks for the password too', async () => {
    const extra = { acr_values: 'urn:hufu:acr:certificate+password' }
    const { claims } = await fapiSignIn(hall, { ...person, password }, extra)
    assert.equal(claims.acr, 'urn:hufu:acr:certificate+password')
    assert.ok(claims.amr.includes('pwd'))
  })
  await check('openid-client: a person who does not agree is access_denied', async () => {
    await assert.rejects(fapiSignIn(hall, { ...person, decision: 'refuse' }), refusedWith('access_denied'))
  })
  await check('openid-client: over-asking is invalid_scope before anybody is asked', async () => {
    await assert.rejects(fapiSignIn(hall, person, { scope: 'openid hufu:age_over_18' }), refusedWith('invalid_scope'))
  })
  await check('openid-client: a replayed code is invalid_grant and its access token is revoked', async () => {
    const { redeem, config, tokens, claims, DPoP } = await fapiSignIn(hall, person)
    await assert.rejects(redeem(), refusedWith('invalid_grant'))
    await assert.rejects(client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP }))
  })
  await check('openid-client: a refresh token gives access without an ID token, until it is revoked', async () => {
    const { tokens, config, DPoP, claims } = await fapiSignIn(tax, person, { scope: 'openid offline_access' })
    assert.match(tokens.hufu_subject_handle, /^(12|13|23)\.[\w-]{115}\.[\w-]{115}$/)
    const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    assert.equal(renewed.id_token, undefined)
    await client.fetchUserInfo(config, renewed.access_token, claims.sub, { DPoP })
    await client.tokenRevocation(config, tokens.refresh_token)
    const again = client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    await assert.rejects(again, refusedWith('invalid_grant'))
    // Who did not register for it is not refused, and gets none.
    const plain = await fapiSignIn(hall, person, { scope: 'openid offline_access' })
    assert.deepEqual([plain.tokens.refresh_token, plain.tokens.hufu_subject_handle], [undefined, undefined])
  })
  await check('openid-client: a stream of shared signals is created, gets a subject and an event, and ends', async () => {
    const { tokens, config, DPoP } = await fapiSignIn(tax, person)
    const managing = await client.clientCredentialsGrant(config, { scope: 'ssf.manage' }, { DPoP })
    const ask = async (method, path, body) => {
      const headers = new Headers(body && { 'content-type': 'application/json' })
      const answer = await client.fetchProtectedResource(
        config, managing.access_token, new URL(path, issuer), method, body && JSON.stringify(body), headers, { DPoP },
      )
      const text = await answer.text()
      return { status: answer.status, told: text && JSON.parse(text) }
    }
    const { status, told: stream } = await ask('POST', '/ssf/stream', {})
    assert.equal(status, 201)
    const { stream_id } = stream
    const subject = { format: 'opaque', id: tokens.hufu_subject_handle }
    assert.equal((await ask('POST', '/ssf/subjects/add', { stream_id, subject })).status, 200)
    assert.equal((await ask('POST', '/ssf/verify', { stream_id, state: 'mine' })).status, 204)
    const { told } = await ask('POST', new URL(stream.delivery.endpoint_url).pathname, { returnImmediately: true })
    const [[jti, set]] = Object.entries(told.sets)
    const { events } = await eventOf(set, tax.clientId)
    assert.deepEqual(events, { 'https://schemas.openid.net/secevent/ssf/event-type/verification': { state: 'mine' } })
    const acknowledged = await ask('POST', '/ssf/events', { returnImmediately: true, ack: [jti] })
    assert.deepEqual(acknowledged.told, { sets: {}, moreAvailable: false })
    assert.equal((await ask('DELETE', `/ssf/stream?stream_id=${stream_id}`)).status, 204)
  })
  await check('openid-client: prompt=none is login_required', async () => {
    const authentication = client.ClientSecretBasic(SECRET)
    await assert.rejects(basicSignIn('judge-basic', authentication, person, { prompt: 'none' }), refusedWith('login_required'))
  })
  await check('openid-client: FAPI 2.0 with ES256: one key, which is published and is a node\'s', async () => {
    const judge = await fapiEs256()
    const published = (await (await fetch(`${ready.issuer}/jwks.json`)).json()).keys.filter((key) => key.alg === 'ES256')
    const nodes = trust().nodes.map((node) => node.es256)
    const point = ({ kid, x, y }) => ({ kid, x, y })
    assert.deepEqual(published.map(point), nodes.map(point))
    const subs = new Set()
    for (let turn = 0; turn < 3; turn += 1) {
      // The library verifies the signature under the published keys before it gives the claims.
      const { claims, tokens } = await fapiSignIn(judge, person, {}, 'ES256')
      const header = JSON.parse(Buffer.from(tokens.id_token.split('.')[0], 'base64url'))
      assert.equal(header.alg, 'ES256')
      assert.ok(nodes.some((key) => key.kid === header.kid), `${header.kid} is no node's`)
      subs.add(claims.sub)
    }
    assert.equal(subs.size, 1)
    // A client that expects two nodes does not take one node's signature.
    await assert.rejects(fapiSignIn(judge, person))
  })
  for (const [clientId, alg] of Object.entries(BASIC)) {
    await check(`openid-client: plain OpenID Connect, client_secret_basic, ${alg}`, async () => {
      await basicSignIn(clientId, client.ClientSecretBasic(SECRET), person)
    })
  }
  await check('openid-client: plain OpenID Connect, client_secret_post', async () => {
    await basicSignIn('judge-basic', client.ClientSecretPost(SECRET), person)
  })
  await check('openid-client: a wrong secret is challenged with 401', async () => {
    const wrong = basicSignIn('judge-basic', client.ClientSecretBasic('wrong'), person)
    await assert.rejects(wrong, (thrown) => {
      assert.equal(thrown.status ?? thrown.cause?.status, 401)
      return true
    })
  })
}
