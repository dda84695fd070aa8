// Usage: hufu demo --ready-file ready.json --platform platforms/judge-basic.toml (and its three siblings);
//        HUFU_READY=ready.json npm run check
//        With --mtls --platform mtls/judge-mtls.toml besides, and HUFU_BIN the program, clients with TLS certificates too.
import { BASIC, BASIC_REDIRECT, FAPI_ES256, personas, ready, report } from './sandbox.mjs'
import { send } from './persona.mjs'
import * as openidClient from './with-openid-client.mjs'
import * as oauth4webapi from './with-oauth4webapi.mjs'
import * as mtls from './with-mtls.mjs'

for (const clientId of Object.keys(BASIC)) {
  const query = new URLSearchParams({ client_id: clientId, redirect_uri: BASIC_REDIRECT, response_type: 'code', scope: 'openid' })
  const answer = await send(`${ready.issuer}/authorize?${query}`)
  if (answer.status !== 303) throw new Error(`start the sandbox with --platform conformance/clients/platforms/${clientId}.toml`)
}
const people = await personas()
const unknown = await send(`${ready.issuer}/authorize?client_id=${FAPI_ES256}`)
if (unknown.text.includes('unknown')) throw new Error(`start the sandbox with --platform conformance/clients/platforms/${FAPI_ES256}.toml`)
await openidClient.checks(people)
await oauth4webapi.checks(people)
await mtls.checks(people)
report()
