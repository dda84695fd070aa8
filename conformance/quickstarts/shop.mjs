// Browsers in front of a quickstart's program, and what must hold of it.
import assert from 'node:assert/strict'
import { send, signIn } from '../clients/persona.mjs'

export class Browser {
  #cookie = ''
  constructor(shop, wallet) {
    this.shop = shop
    this.wallet = wallet
  }

  async ask(method, path, form) {
    const headers = this.#cookie ? { cookie: this.#cookie } : {}
    const answer = await send(path.startsWith('http') ? path : `${this.shop}${path}`, { method, headers, form })
    const set = answer.headers['set-cookie']?.[0]
    if (set) this.#cookie = set.split(';')[0]
    return answer
  }

  get = (path) => this.ask('GET', path)
  post = (path, form = {}) => this.ask('POST', path, form)

  /** Follows `path` to the wallet, lets the persona decide, and comes back with the front's answer. */
  async through(path, persona, decision = 'agree') {
    const away = await this.post(path)
    assert.equal(away.status, 303, away.text)
    return signIn(away.headers.location, this.wallet, { persona, decision })
  }

  async signIn(path, persona, decision) {
    return this.get((await this.through(path, persona, decision)).href)
  }

  login = (password = 'an old password') => this.post('/login', { name: 'mei', password })
  home = async () => (await this.get('/')).text
}

const ANSWERS = { real: true, unique: true }

/** What the program printed last. */
function learnt(program) {
  const lines = program.said.trim().split('\n').filter((line) => line.startsWith('{'))
  return JSON.parse(lines.at(-1))
}

/** Every promise of a page; `waits` where an unknown person is asked whether they had an account. */
export function promises({ open, program, personas: [mei, wen, tao], waits }) {
  let subOfMei
  return {
    'an old account is connected by its old login and a sign-in': async () => {
      const browser = open()
      assert.equal((await browser.login('wrong')).status, 401)
      assert.equal((await browser.login()).status, 303)
      assert.match(await browser.home(), /mei: .*not connected/)
      assert.equal((await browser.signIn('/connect', mei)).status, 303)
      const { sub, acr, answers } = learnt(program)
      assert.match(sub, /^[\w-]{43}$/)
      assert.equal(acr, 'urn:hufu:acr:certificate')
      assert.deepEqual(answers, ANSWERS)
      assert.ok((await browser.home()).includes(sub))
      subOfMei = sub
    },
    'from then on the identity alone opens it, with the same sub, and connecting twice is connecting once': async () => {
      const browser = open()
      assert.equal((await browser.signIn('/sign-in', mei)).status, 303)
      assert.equal(learnt(program).sub, subOfMei)
      assert.match(await browser.home(), /mei: /)
      assert.equal((await browser.signIn('/connect', mei)).status, 303)
    },
    'an account that has an identity takes no second one': async () => {
      const browser = open()
      await browser.login()
      const answer = await browser.signIn('/connect', wen)
      assert.equal(answer.status, 409)
      assert.match(answer.text, /occupied/)
      assert.ok((await browser.home()).includes(subOfMei))
    },
    'somebody new gets an account of their own, under another sub': async () => {
      const browser = open()
      assert.equal((await browser.signIn('/sign-in', wen)).status, 303)
      if (waits) assert.equal((await browser.post('/new')).status, 303)
      const { sub } = learnt(program)
      assert.notEqual(sub, subOfMei)
      assert.ok((await browser.home()).includes(sub))
    },
    'signing in while an old account is open connects nothing': async () => {
      const browser = open()
      await browser.login()
      await browser.signIn('/sign-in', tao)
      const other = open()
      await other.login()
      assert.ok((await other.home()).includes(subOfMei))
    },
    'a person who does not agree is not signed in': async () => {
      const answer = await open().signIn('/sign-in', mei, 'refuse')
      assert.equal(answer.status, 400)
      assert.match(answer.text, /access_denied/)
    },
    'an answer brought by another browser signs nobody in': async () => {
      const stolen = await open().through('/sign-in', mei)
      const thief = open()
      await thief.through('/sign-in', tao)
      const answer = await thief.get(stolen.href)
      assert.equal(answer.status, 400)
      assert.doesNotMatch(await thief.home(), /mei/)
      assert.equal((await open().get(stolen.href)).status, 400)
    },
  }
}

/** What only the Node page shows: unlinking, connecting at the first sign-in, an identity that is taken. */
export function unlinking({ open, program, personas: [mei, wen, tao] }) {
  return {
    'unlinking forgets the sub, and connecting again gives the same one': async () => {
      const browser = open()
      await browser.login()
      assert.equal((await browser.post('/unlink')).status, 200)
      assert.match(await browser.home(), /not connected/)
      const first = open()
      assert.equal((await first.signIn('/sign-in', mei)).status, 303)
      assert.match(await first.home(), /First time here/)
      assert.equal((await first.login()).status, 303)
      assert.ok((await first.home()).includes(learnt(program).sub))
    },
    'an identity that another account has is refused, and the account stays as it was': async () => {
      const browser = open()
      await browser.login()
      await browser.post('/unlink')
      const answer = await browser.signIn('/connect', wen)
      assert.equal(answer.status, 409)
      assert.match(answer.text, /taken/)
      assert.match(await browser.home(), /not connected/)
      assert.equal((await browser.signIn('/connect', mei)).status, 303)
    },
    'the only way into an account is not taken away': async () => {
      const browser = open()
      await browser.signIn('/sign-in', wen)
      const answer = await browser.post('/unlink')
      assert.equal(answer.status, 409)
      assert.match(answer.text, /only-way-in/)
      assert.equal((await open().post('/unlink')).status, 409)
    },
    'a sub that waits is connected by nobody who does not know the old password': async () => {
      const browser = open()
      await browser.signIn('/sign-in', tao)
      assert.equal((await browser.login('wrong')).status, 401)
      const other = open()
      assert.equal((await other.post('/new')).status, 400)
      assert.equal((await other.post('/connect')).status, 401)
    },
  }
}
