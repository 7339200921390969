// Bytes as base64 text and back, with what Node and browsers share.

/** As many bytes as a call may safely have arguments. */
const PIECE = 0x8000

export const toBase64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let from = 0; from < bytes.length; from += PIECE) text += String.fromCharCode(...bytes.subarray(from, from + PIECE))
  return btoa(text)
}

/** Throws `InvalidCharacterError` on what is no base64. */
export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
