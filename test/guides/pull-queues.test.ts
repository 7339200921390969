// The guide for pull-queue code, held to the program: its calls are made by hand and by the real client, its file is read, and its tables are compared with what they describe.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readQueueYaml } from '../../src/engine/queue-files-queue-yaml.ts'
import { blocksUnder, commandsOf, document, root, rowsUnder } from '../support/documents.ts'
import { expectAnswer } from '../support/guide-answers.ts'
import { processes } from '../support/process.ts'
import { openShell } from '../support/shell.ts'

const SLOW_MS = 240_000
const guide = document('docs/guides/pull-queues.md')
const { folder, serve, start } = processes('guide-pull-queues')
const shell = openShell()
const hasCurl = spawnSync('curl', ['--version']).status === 0
const yaml = blocksUnder(guide, 'queue.yaml as it is')[0]?.text ?? ''
let url = ''

afterAll(shell.close)
beforeAll(async () => {
  mkdirSync(join(folder, 'config', 'apps', 'shop'), { recursive: true })
  writeFileSync(join(folder, 'config', 'apps', 'shop', 'queue.yaml'), yaml)
  ;({ url } = await serve(['--data', ':memory:', '--config', join(folder, 'config')]))
})

describe('pull-queue code', () => {
  it('by hand is answered as the guide shows, call by call', { timeout: SLOW_MS }, async (context) => {
    if (!hasCurl) context.skip('curl is not installed')
    const env: Record<string, string> = {
      T: `${url}/taskqueue/v1beta2/projects/shop/taskqueues/mails`,
      P: 'Stint-As: web@partner.example',
      W: 'Stint-As: worker@shop.example',
    }
    const blocks = blocksUnder(guide, 'By hand')
    let written: string[] = []
    for (const block of blocks) {
      if (block.language === 'json') {
        expectAnswer(block.text, written.at(-1) ?? '')
        env['STAMP'] = (JSON.parse(written.at(-1) ?? '') as { readonly items?: readonly { readonly leaseTimestamp: string }[] }).items?.[0]?.leaseTimestamp ?? ''
        continue
      }
      written = []
      for (const { command } of commandsOf(block)) {
        const { code, written: answer } = await shell.run(command, { cwd: tmpdir(), env })
        expect(code).toBe(0)
        written.push(answer)
      }
    }
    expect(blocks.map(({ language }) => language)).toEqual(['sh', 'json', 'sh', 'json', 'sh'])
    const [updated = '', deleted] = written
    expect(Number((JSON.parse(updated) as { readonly leaseTimestamp: string }).leaseTimestamp)).toBeGreaterThan(Number(env['STAMP']))
    expect(deleted).toBe('')
  })

  it('runs as the guide has it for googleapis 29', { timeout: SLOW_MS }, async () => {
    const [block] = blocksUnder(guide, 'googleapis 29 for Node')
    // Another address, the name under which the checkout has this release, and a module, as it awaits at its top.
    const program = (block?.text ?? '')
      .replace("const { google } = require('googleapis') // 29.0.0", `import { google } from '${join(root, 'node_modules', 'googleapis-29', 'build', 'src', 'index.js')}'`)
      .replaceAll('http://127.0.0.1:7070', url)
    expect(program).toContain('import { google }')
    const file = join(folder, 'client.mjs')
    writeFileSync(file, `${program}\nconsole.log('leased', data.items.length, Buffer.from(data.items[0].payloadBase64, 'base64').toString())\n`)
    const client = start(process.execPath, [file], { env: { STINT_TOKEN: 'a-server-without-auth-looks-at-none' } })
    await client.line(/^leased 1 \{"to":"ann@example\.com"\}$/)
    expect(await client.ended()).toEqual({ code: 0, signal: null })
  })
})

describe('the guide for pull-queue code', () => {
  it('has a queue.yaml that is read without a mistake, and passes over what is for push queues', () => {
    const { errors, value, notices } = readQueueYaml('queue.yaml', yaml)
    expect(errors).toEqual([])
    expect(value?.entries.map(({ name, mode }) => `${name} ${mode}`)).toEqual(['mails pull', 'resize-on-request push'])
    expect(notices).toHaveLength(1)
  })

  it('names every method, with its path', async () => {
    interface Method {
      readonly path: string
      readonly httpMethod: string
      readonly id: string
    }
    const { resources } = (await (await fetch(`${url}/discovery/v1/apis/taskqueue/v1beta2/rest`)).json()) as {
      readonly resources: Readonly<Record<string, { readonly methods: Readonly<Record<string, Method>> }>>
    }
    const methods = Object.values(resources).flatMap((resource) => Object.values(resource.methods))
    const told = rowsUnder(guide, 'By hand').map(({ cells: [call, path] }) => `${call} ${path}`)
    expect(told.toSorted()).toEqual(methods.map(({ id, httpMethod, path }) => `${id.replace('taskqueue.', '')} ${httpMethod} ${path}`).toSorted())
  })

  it('names every reason of a refusal', () => {
    const dialect = join(root, 'src', 'api', 'dialect')
    const sources = readdirSync(dialect).map((name) => readFileSync(join(dialect, name), 'utf8'))
    const reasons = sources.flatMap((text) => [...text.matchAll(/reason: '(\w+)'|\| '([A-Z]+_[A-Z_]+)'/g)].map((match) => match[1] ?? match[2] ?? ''))
    const told = rowsUnder(guide, 'Errors').flatMap(({ cells: [, names = ''] }) => names.split(', '))
    expect(new Set(told)).toEqual(new Set(reasons))
  })
})
