// oauth4webapi, the low-level relying party: every response validated by hand, and requests that break one rule each.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { check, fapi, ready } from './sandbox.mjs'
import { signIn } from './persona.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }

async function server() {
  const issuer = new URL(ready.issuer)
  const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oidc' })
  const as = await oauth.processDiscoveryResponse(issuer, found)
  const other = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
  assert.deepEqual(await oauth.processDiscoveryResponse(issuer, other), as)
  return as
}

async function begin(platform, modifyAssertion) {
  const as = await server()
  const client = { client_id: platform.clientId, id_token_signed_response_alg: 'EdDSA' }
  const authentication = oauth.PrivateKeyJwt(platform.key, modifyAssertion && { [oauth.modifyAssertion]: modifyAssertion })
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  return { as, client, authentication, DPoP, verifier, state, nonce, platform }
}

async function push(flow, extra = {}) {
  const parameters = new URLSearchParams({
    client_id: flow.client.client_id,
    response_type: 'code',
    redirect_uri: flow.platform.redirectUri,
    scope: 'openid',
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(flow.verifier),
    code_challenge_method: 'S256',
    ...extra,
  })
  const { as, client, authentication, DPoP } = flow
  const response = await oauth.pushedAuthorizationRequest(as, client, authentication, parameters, { DPoP, ...insecure })
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
  const url = new URL(as.authorization_endpoint)
  url.searchParams.set('client_id', client.client_id)
  url.searchParams.set('request_uri', request_uri)
  return url
}

async function redeem(flow, answer, { verifier = flow.verifier, DPoP = flow.DPoP, uri = flow.platform.redirectUri } = {}) {
  const { as, client, authentication } = flow
  const checked = oauth.validateAuthResponse(as, client, answer, flow.state)
  const options = DPoP ? { DPoP, ...insecure } : insecure
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, checked, uri, verifier, options)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: flow.nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, response, insecure)
  return tokens
}

const refusedWith = (error) => (thrown) => {
  assert.equal(thrown.error, error)
  return true
}

export async function checks({ adult }) {
  const person = { persona: adult }
  const hall = await fapi('yunzhou-hall')
  const signedIn = async (flow) => signIn(await push(flow), ready.wallet, person)

  await check('oauth4webapi: FAPI 2.0 flow, every response validated, signature under the published keys', async () => {
    const flow = await begin(hall)
    const tokens = await redeem(flow, await signedIn(flow))
    assert.equal(tokens.token_type, 'dpop')
    const { as, client, DPoP } = flow
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const response = await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP, ...insecure })
    const told = await oauth.processUserInfoResponse(as, client, claims.sub, response)
    assert.deepEqual(told.hufu, claims.hufu)
  })
  const audiences = { 'the token endpoint': (as) => as.token_endpoint, 'an array': (as) => [as.issuer], 'another server': () => 'https://evil.example' }
  for (const [name, audience] of Object.entries(audiences)) {
    await check(`oauth4webapi: an assertion addressed to ${name} is invalid_client`, async () => {
      const as = await server()
      const flow = await begin(hall, (_, payload) => { payload.aud = audience(as) })
      await assert.rejects(push(flow), refusedWith('invalid_client'))
    })
  }
  await check('oauth4webapi: an assertion used twice is invalid_client', async () => {
    const flow = await begin(hall, (_, payload) => { payload.jti = flow.state })
    await push(flow)
    await assert.rejects(push(flow), refusedWith('invalid_client'))
  })
  await check('oauth4webapi: another address is invalid_request', async () => {
    await assert.rejects(push(await begin(hall), { redirect_uri: 'https://evil.example/' }), refusedWith('invalid_request'))
  })
  await check('oauth4webapi: a wrong code_verifier is invalid_grant', async () => {
    const flow = await begin(hall)
    const answer = await signedIn(flow)
    await assert.rejects(redeem(flow, answer, { verifier: oauth.generateRandomCodeVerifier() }), refusedWith('invalid_grant'))
  })
  await check('oauth4webapi: another DPoP key is invalid_grant', async () => {
    const flow = await begin(hall)
    const answer = await signedIn(flow)
    const DPoP = oauth.DPoP(flow.client, await oauth.generateKeyPair('ES256'))
    await assert.rejects(redeem(flow, answer, { DPoP }), refusedWith('invalid_grant'))
  })
  await check('oauth4webapi: no DPoP is invalid_dpop_proof', async () => {
    const flow = await begin(hall)
    const answer = await signedIn(flow)
    await assert.rejects(redeem(flow, answer, { DPoP: null }), refusedWith('invalid_dpop_proof'))
  })
  await check('oauth4webapi: a code of one platform is invalid_grant to another', async () => {
    const flow = await begin(hall)
    const answer = await signedIn(flow)
    const thief = { ...(await begin(await fapi('yunzhou-tax'))), state: flow.state, verifier: flow.verifier, DPoP: flow.DPoP }
    await assert.rejects(redeem(thief, answer, { uri: hall.redirectUri }), refusedWith('invalid_grant'))
  })
}
