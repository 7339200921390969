// How a message over HTTP is read and answered, for who answers as a server does without being one: the listener of an implementation node. Limits, problems and headers are one code.
export { jsonReply, problemReply, send, type Reply } from './answer.ts'
export { readBody, readBytes } from './body.ts'
export { answerClientError } from './client-error.ts'
export { parseJson } from './json-text.ts'
export { fromRefusal, invalid, problem, type Problem } from './problem.ts'
export { decodeParams, decodeQuery, type AnyRoute } from './request.ts'
export { isLoopback } from './settings.ts'
