// Programs of a test: started, waited for, and ended by their ids whatever happens.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'

const running = new Set()
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

export async function until(what, condition, child, seconds = 60) {
  for (let tries = 0; tries < seconds * 20; tries += 1) {
    if (await condition()) return
    if (child?.exitCode !== null && child !== undefined) break
    await sleep(50)
  }
  throw new Error(`${what}: not after ${seconds} s\n${child?.said ?? ''}`)
}

/** A program that goes on running; what it says is in `said`. */
export function start(program, args, options) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  child.said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (child.said += text))
  running.add(child)
  child.on('exit', () => running.delete(child))
  return child
}

/** A program that ends; its standard output and its code. */
export async function run(program, args, options) {
  const child = start(program, args, options)
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  return { code, said: child.said }
}

export async function stop(child) {
  if (child.exitCode !== null) return
  const ended = new Promise((resolve) => child.on('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

export const json = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined)
