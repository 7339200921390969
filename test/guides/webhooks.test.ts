// The guide to webhooks, held to the program: its message is one, its verifier in Python takes what Stint sends and nothing else, its patterns are patterns.
import { execFile } from 'node:child_process'
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../src/config.ts'
import { parseSecrets, webhookHeaders } from '../../src/engine/delivery/signature.ts'
import { readStintYaml } from '../../src/engine/queue-files-stint-yaml.ts'
import { queueReady } from '../../src/wire/queues.ts'
import { decode } from '../../src/wire/schema.ts'
import { blocksUnder, document } from '../support/documents.ts'
import { right } from '../support/engine.ts'

const guide = document('docs/guides/webhooks.md')
const block = (heading: string, language: string): string => {
  const found = blocksUnder(guide, heading).find((each) => each.language === language)
  if (found === undefined) throw new Error(`Expected a block in ${language} under "${heading}"`)
  return found.text
}

const SECRETS = [9, 8].map((fill) => `whsec_${Buffer.alloc(32, fill).toString('base64')}`)
const SECONDS = 1_800_000_000

/** What the program of the guide says to the message: its id, or that it refuses it; undefined without Python. */
const inPython = (headers: object, body: string, secrets: readonly string[], now: number): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const call = `\nimport json, sys\ngiven = json.loads(sys.argv[1])\ntry:\n    print(verify(given["headers"], given["body"].encode(), given["secrets"], given["now"]))\nexcept ValueError:\n    print("refused")\n`
    execFile('python3', ['-c', block('Verify what you receive', 'python') + call, JSON.stringify({ headers, body, secrets, now })], (error, out) => {
      if (error === null) resolve(out.trim())
      else if ('code' in error && (error.code as unknown) === 'ENOENT') resolve(undefined)
      else reject(new Error('The program of the guide failed', { cause: error }))
    })
  })

describe('the guide to webhooks', () => {
  it('shows a message as it is sent', () => {
    expect(E.isRight(decode(queueReady, JSON.parse(block('Be told that work has come', 'json'))))).toBe(true)
  })

  it('shows a queue file and an allow-list that are taken', () => {
    expect(readStintYaml('guide', block('Be told that work has come', 'yaml'), new Set(['orders']))).toMatchObject({ errors: [], notices: [] })
    expect(E.isRight(parseConfigFile(block('What may be called', 'yaml')))).toBe(true)
  })

  it('shows a verifier in Python that takes what Stint signs and nothing else', async (context) => {
    const body = '{"grüße":"🐞"}'
    const headers = webhookHeaders('msg_1', SECONDS, body, right(parseSecrets(SECRETS.join(' '))))
    const said = await inPython(headers, body, SECRETS.slice(1), SECONDS + 300)
    if (said === undefined) return context.skip('There is no python3 on this machine.')
    expect(said).toBe('msg_1')
    expect(await inPython(headers, `${body} `, SECRETS, SECONDS)).toBe('refused')
    expect(await inPython(headers, body, SECRETS, SECONDS + 301)).toBe('refused')
    expect(await inPython(headers, body, [`whsec_${Buffer.alloc(32, 7).toString('base64')}`], SECONDS)).toBe('refused')
  })
})
