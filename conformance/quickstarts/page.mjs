// A quickstart page: its files, its commands, and what it tells to install.
import { readFileSync, writeFileSync } from 'node:fs'

const fences = (text, kind) => [...text.matchAll(new RegExp('^```' + kind + '\\n([\\s\\S]*?)^```$', 'gm'))].map((match) => match[1])

/** A page of docs/connect. A file is a block whose first line names it: `// app.mjs: …` or `"""app.py: …`. */
export function read(name, language) {
  const text = readFileSync(new URL(`../../docs/connect/${name}`, import.meta.url), 'utf8')
  const files = new Map(
    fences(text, language).map((code) => {
      const named = /^(?:\/\/ |""")([a-z]+\.(?:mjs|py)): /.exec(code)
      if (!named) throw new Error(`${name}: a block of ${language} without a file name in its first line`)
      return [named[1], code]
    }),
  )
  const commands = fences(text, 'sh').flatMap((block) => block.trimEnd().split('\n'))
  return { name, files, commands, text }
}

export const write = (page, folder) => page.files.forEach((code, file) => writeFileSync(`${folder}/${file}`, code))

/** Arguments of the page's own `hufu …` line that begins with `what`. */
export function hufu(page, what) {
  const prefix = `hufu ${what}`
  const found = page.commands.filter((line) => line.startsWith(prefix))
  if (found.length !== 1) throw new Error(`${page.name}: ${found.length} lines ${prefix}`)
  return found[0].split(' ').slice(1)
}
