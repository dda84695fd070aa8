// A browser without JavaScript in fifty lines: from an authorization address, through a persona's plain forms, to the platform.
import http from 'node:http'

// Not every resolver knows *.localhost (RFC 6761 section 6.3): all of it is this machine.
const lookup = (_host, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)

export function send(url, { method = 'GET', headers = {}, form } = {}) {
  const body = form === undefined ? undefined : new URLSearchParams(form).toString()
  if (body !== undefined) headers = { ...headers, 'content-type': 'application/x-www-form-urlencoded' }
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, lookup, timeout: 60_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part) => (text += part))
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }))
    })
    request.on('timeout', () => request.destroy(new Error(`${url} does not answer`)))
    request.on('error', reject)
    request.end(body)
  })
}

const fields = (html) =>
  Object.fromEntries([...html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)].map((m) => [m[1], m[2]]))

/** Signs in as `persona` (or refuses) and returns the platform's address with the answer. */
export async function signIn(authorization, wallet, { persona, password = '', decision = 'agree' }) {
  const begun = await send(authorization)
  if (begun.status !== 303) throw new Error(`/authorize answers ${begun.status}: ${begun.text}`)
  const next = new URL(begun.headers.location)
  if (next.origin !== wallet) return next
  const cookie = begun.headers['set-cookie'].map((one) => one.split(';')[0]).join('; ')
  const tx = next.searchParams.get('tx')
  const page = await send(`${wallet}/sandbox/sign-in?tx=${tx}`)
  if (page.status !== 200) throw new Error(`the persona agent answers ${page.status}: ${page.text}`)
  const origin = { origin: wallet }
  const signed = await send(`${wallet}/sandbox/sign-in`, { method: 'POST', headers: origin, form: { tx, persona, password, decision } })
  const action = signed.text.match(/<form method="post" action="([^"]+\/(?:complete|refuse))">/)
  if (!action) throw new Error(`the persona did not sign (${signed.status}): ${signed.text}`)
  const done = await send(action[1], { method: 'POST', headers: { ...origin, cookie }, form: fields(signed.text) })
  if (done.status !== 303) throw new Error(`the front answers ${done.status}: ${done.text}`)
  return new URL(done.headers.location)
}
