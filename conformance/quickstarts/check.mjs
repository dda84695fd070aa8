// The first hour of a platform's engineer, as docs/connect tells it: a platform of one's own, a sandbox that admits it, the
// page's program as it stands, and personas who sign in at it by the plain forms.
// Usage: HUFU_BIN=…/hufu HUFU_PYTHON=…/python npm run check
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { send } from '../clients/persona.mjs'
import * as pages from './page.mjs'
import { freePort, json, run, start, stop, until } from './processes.mjs'
import { Browser, promises, unlinking } from './shop.mjs'

const { HUFU_BIN: hufu, HUFU_PYTHON: python } = process.env
if (!hufu || !python) throw new Error('HUFU_BIN and HUFU_PYTHON must name the two programs')
const folder = mkdtempSync(join(tmpdir(), 'hufu-quickstarts-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const data = join(folder, 'data')
const environment = { ...process.env, HUFU_DATA: data }
let [passed, failed] = [0, 0]

async function check(name, promise) {
  try {
    await promise()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAILED  ${name}: ${error.message}`)
  }
}

/** `platform new` as the page says, on a port that is free here; the files it wrote are changed as the page says. */
async function platform(page, name) {
  const made = await run(hufu, pages.hufu(page, 'platform new'), { cwd: folder, env: environment })
  assert.equal(made.code, 0, made.said)
  const port = await freePort()
  for (const file of [`${name}.toml`, `${name}.env`]) {
    const text = readFileSync(join(folder, file), 'utf8')
    assert.ok(text.includes('http://localhost:3000/callback'), file)
    writeFileSync(join(folder, file), text.replaceAll('localhost:3000', `localhost:${port}`))
  }
  for (const line of page.commands.filter((line) => line.startsWith('sed '))) {
    const changed = await run('sh', ['-c', line], { cwd: folder })
    assert.equal(changed.code, 0, changed.said)
  }
  return `http://localhost:${port}`
}

/** The settings that `platform new` wrote; only the issuer differs, since this sandbox's ports are chosen by the system. */
function settings(name, issuer) {
  const lines = readFileSync(join(folder, `${name}.env`), 'utf8').trim().split('\n')
  return { ...environment, ...Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2))), HUFU_ISSUER: issuer }
}

/** What the page tells to install is what the lock files install here. */
function pinned(page, lock, separator) {
  const line = page.commands.find((line) => /^(npm|pip) install /.test(line))
  for (const one of line.split(' ').slice(2)) {
    const [name, version] = one.split(separator)
    assert.ok(lock(name, version), `${page.name}: ${one} is not what is tested`)
  }
}

const [shop, club] = [pages.read('node.md', 'js'), pages.read('python.md', 'python')]
const requirements = readFileSync(new URL('../clients/requirements.txt', import.meta.url), 'utf8').split('\n')
await check('the pages name the versions that are tested', () => {
  pinned(shop, (name, version) => json('package-lock.json').packages[`node_modules/${name}`]?.version === version, '@')
  pinned(club, (name, version) => requirements.some((line) => line.split(' ')[0] === `${name}==${version}`.toLowerCase()), '==')
})

const [shopAt, clubAt] = [await platform(shop, 'my-shop'), await platform(club, 'my-club')]
const readyFile = join(folder, 'ready.json')
const files = [shop, club].flatMap((page) => pages.hufu(page, 'demo').slice(1))
const demo = start(hufu, ['demo', ...files, '--port', '0', '--ready-file', readyFile], { cwd: folder, env: environment })
await until('the demo is ready', () => json(readyFile), demo)
const ready = json(readyFile)
const listed = JSON.parse((await send(`${ready.wallet}/sandbox/personas.json`)).text).personas
const personas = ['lin-xiaoyu', 'wang-guiying', 'chen-yi'].map((id) => listed.find((persona) => persona.id === id)?.id)

pages.write(shop, folder)
pages.write(club, folder)
symlinkSync(fileURLToPath(new URL('node_modules', import.meta.url)), join(folder, 'node_modules'))

/** Runs a page's program and holds it to its promises. */
async function page(name, program, at, extra, waits) {
  await until(`${name} listens`, () => program.said.includes(' signs in with '), program)
  const scene = { open: () => new Browser(at, ready.wallet), program, personas, waits }
  for (const [promise, test] of Object.entries({ ...promises(scene), ...extra?.(scene) })) await check(`${name}: ${promise}`, test)
  if (failed > 0) console.log(program.said)
  await stop(program)
}

const shopProgram = start(process.execPath, ['app.mjs'], { cwd: folder, env: settings('my-shop', ready.issuer) })
await page('Node', shopProgram, shopAt, unlinking, true)
const clubProgram = start(python, ['app.py'], { cwd: folder, env: settings('my-club', ready.issuer) })
await page('Python', clubProgram, clubAt, undefined, false)

await check('Node: a token after signing out everywhere ends older sessions, an equal or earlier one ends nothing', async () => {
  const { add, signedOutEverywhere } = await import(join(folder, 'accounts.mjs'))
  const [account, token] = [add('somebody'), (iat, ep) => ({ iat, hufu: { ep } })]
  const seen = [[9, 'one'], [10, 'one'], [11, 'two'], [11, 'one'], [5, 'one'], [12, 'two'], [13, 'three']]
  assert.deepEqual(seen.map(([iat, ep]) => signedOutEverywhere(account, token(iat, ep))), [false, false, true, false, false, false, true])
})

await check('the number on an error page is explained by hufu explain', async () => {
  const page = await send(`${ready.issuer}/authorize?client_id=nobody`)
  const number = /\b[0-9a-hjkmnp-tv-z]{13}\b/.exec(page.text)?.[0]
  assert.ok(number, page.text)
  const told = await run(hufu, ['explain', number], { env: environment })
  assert.ok(told.said.startsWith(`${number} was answered with platform_unknown.`), told.said)
})

await stop(demo)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 && passed > 0 ? 0 : 1)
