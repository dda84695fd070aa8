// Where the running sandbox is, and the platforms that these clients play.
import { readFileSync } from 'node:fs'
import { webcrypto } from 'node:crypto'
import { send } from './persona.mjs'

const readyFile = process.env.HUFU_READY
if (!readyFile) throw new Error('HUFU_READY must name the file that `hufu demo --ready-file` writes')
export const ready = JSON.parse(readFileSync(readyFile, 'utf8'))

/** The secret of platforms/judge-basic*.toml. It opens nothing but a sandbox. */
export const SECRET = 'sandbox-only-not-a-secret-0123456789'
export const BASIC_REDIRECT = 'http://localhost:3000/callback'
export const BASIC = { 'judge-basic': 'RS256', 'judge-basic-es256': 'ES256', 'judge-basic-eddsa': 'EdDSA' }

async function fapiClient(clientId, keyFile, redirectUri) {
  const jwk = JSON.parse(readFileSync(keyFile, 'utf8'))
  const { kid, ...bare } = jwk
  delete bare.use
  delete bare.alg
  const key = await webcrypto.subtle.importKey('jwk', bare, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return { clientId, key: { key, kid }, redirectUri }
}

/** One of the sandbox's invented FAPI 2.0 platforms, as its own server would be configured. */
export const fapi = (clientId) =>
  fapiClient(clientId, `${ready.data}/platforms/${clientId}.key.json`, `https://${clientId}.example/callback`)

/** platforms/judge-fapi-es256.toml: FAPI 2.0 with ID tokens under ES256. */
export const FAPI_ES256 = 'judge-fapi-es256'
export const fapiEs256 = () =>
  fapiClient(FAPI_ES256, new URL(`platforms/${FAPI_ES256}.key.json`, import.meta.url), BASIC_REDIRECT)

/** The public half of the sandbox's trust root: whose key is whose. */
export const trust = () => JSON.parse(readFileSync(ready.trust, 'utf8'))

export async function personas() {
  const answer = await send(`${ready.wallet}/sandbox/personas.json`)
  if (answer.status !== 200) throw new Error(`personas.json answers ${answer.status}`)
  const { personas, password } = JSON.parse(answer.text)
  return { adult: personas[0].id, password }
}

let passed = 0
let failed = 0

export async function check(name, run) {
  try {
    await run()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    const cause = error.cause ? ` (${error.cause.error ?? error.cause.message ?? JSON.stringify(error.cause)})` : ''
    console.log(`FAILED  ${name}: ${error.message}${cause}`)
  }
}

export function report() {
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed === 0 && passed > 0 ? 0 : 1)
}
