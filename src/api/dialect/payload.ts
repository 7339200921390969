// Payloads as they travel: URL-safe base64, whose padding clients may leave out, and which is always complete in answers.

/** Both alphabets are read, because old clients wrote the ordinary one; answers are URL-safe. */
const BASE64 = /^[A-Za-z0-9_+/-]*={0,2}$/

/** The bytes that a text spells; undefined when it is no base64. Missing padding is repaired. */
export const decodePayload = (text: string): Buffer | undefined => {
  if (!BASE64.test(text)) return undefined
  const digits = text.endsWith('=') ? text.slice(0, text.indexOf('=')) : text
  // Six bits alone are no byte.
  return digits.length % 4 === 1 ? undefined : Buffer.from(digits, 'base64url')
}

export const encodePayload = (payload: Uint8Array | undefined): string => {
  if (payload === undefined || payload.byteLength === 0) return ''
  const digits = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('base64url')
  return digits + '='.repeat((4 - (digits.length % 4)) % 4)
}
