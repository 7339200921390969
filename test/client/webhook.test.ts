// The verifier for receivers, held to the published vector of the Standard Webhooks specification and to a computation of its own kind.
import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { verifyWebhook, WebhookRejected, type WebhookHeaders } from '../../src/client/index.ts'

/** The example of the specification and its reference libraries. */
const VECTOR = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  seconds: 1_614_265_330,
  body: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
}
const OTHER = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const at = (seconds: number) => ({ now: () => seconds * 1_000 })
const headers = (signature = VECTOR.signature, more: Readonly<Record<string, string | undefined>> = {}): Readonly<Record<string, string | undefined>> => ({
  'webhook-id': VECTOR.id,
  'webhook-timestamp': String(VECTOR.seconds),
  'webhook-signature': signature,
  ...more,
})
const signed = (secret: string, id: string, seconds: number, body: string | Uint8Array): string =>
  `v1,${createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
    .update(`${id}.${seconds}.`)
    .update(body)
    .digest('base64')}`

const faultOf = async (given: WebhookHeaders, more: { readonly body?: string; readonly secrets?: string | readonly string[]; readonly now?: number } = {}): Promise<unknown> => {
  const { body = VECTOR.body, secrets = VECTOR.secret, now = VECTOR.seconds } = more
  const verified = await verifyWebhook(given, body, secrets, at(now)).catch((cause: unknown) => cause)
  return verified instanceof WebhookRejected ? verified.fault : verified
}

describe('a message with a right signature', () => {
  it('is the one of the specification', async () => {
    expect(signed(VECTOR.secret, VECTOR.id, VECTOR.seconds, VECTOR.body)).toBe(VECTOR.signature)
    expect(await verifyWebhook(headers(), VECTOR.body, VECTOR.secret, at(VECTOR.seconds))).toEqual({ id: VECTOR.id, sentAt: new Date(VECTOR.seconds * 1_000) })
  })

  it('is taken from Headers as from the headers of a request, as text as in bytes', async () => {
    const given = new Headers(headers() as Record<string, string>)
    expect(await verifyWebhook(given, new TextEncoder().encode(VECTOR.body), VECTOR.secret, at(VECTOR.seconds))).toMatchObject({ id: VECTOR.id })
  })

  it('is taken by any of several secrets and any of several signatures, those that are not known passed by', async () => {
    expect(await faultOf(headers(`v1a,AAAA v1,%% v1,AAAA ${VECTOR.signature}`), { secrets: [OTHER, VECTOR.secret] })).toMatchObject({ id: VECTOR.id })
  })

  it('is taken up to five minutes to either side, and as bytes that are no text', async () => {
    const body = Uint8Array.of(0, 255, 128)
    const given = headers(signed(OTHER, VECTOR.id, VECTOR.seconds, body))
    for (const now of [VECTOR.seconds - 300, VECTOR.seconds + 300]) expect(await verifyWebhook(given, body, OTHER, at(now))).toMatchObject({ id: VECTOR.id })
  })
})

describe('a message is not to be trusted', () => {
  it.each([
    ['another body', headers(), { body: `${VECTOR.body} ` }, 'signature'],
    ['another id', headers(undefined, { 'webhook-id': 'msg_1' }), {}, 'signature'],
    ['another time', headers(undefined, { 'webhook-timestamp': String(VECTOR.seconds + 1) }), {}, 'signature'],
    ['another secret', headers(), { secrets: OTHER }, 'signature'],
    ['no secret at all', headers(), { secrets: [] }, 'signature'],
    ['a signature of another version', headers(VECTOR.signature.replace('v1', 'v2')), {}, 'signature'],
    ['a signature that is cut short', headers(VECTOR.signature.slice(0, -8)), {}, 'signature'],
    ['a signature without a version', headers(VECTOR.signature.slice(3)), {}, 'signature'],
    ['no signature', headers('', {}), {}, 'missing'],
    ['no id', headers(undefined, { 'webhook-id': undefined }), {}, 'missing'],
    ['no time', headers(undefined, { 'webhook-timestamp': undefined }), {}, 'missing'],
    ['a time that is none', headers(undefined, { 'webhook-timestamp': '1614265330.5' }), {}, 'stale'],
    ['sent too long ago', headers(), { now: VECTOR.seconds + 301 }, 'stale'],
    ['sent by a clock that is ahead', headers(), { now: VECTOR.seconds - 301 }, 'stale'],
  ] as const)('with %s', async (_what, given, more, fault) => expect(await faultOf(given, more)).toBe(fault))

  it.each(['', 'whsec_', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_*'])('by a secret that is none (%j), which is the mistake of who verifies', async (secret) => {
    await expect(verifyWebhook(headers(), VECTOR.body, secret, at(VECTOR.seconds))).rejects.toThrow(TypeError)
  })
})
