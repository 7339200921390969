// Every refusal that the HTTP surface can give, with its status and what a caller can do about it (RFC 9457; surface 13).

interface Problem {
  readonly status: number
  readonly title: string
  /** What it means and what to do, for `GET /problems/CODE` and the docs. */
  readonly advice: string
}

const problem = (status: number, title: string, advice: string): Problem => ({ status, title, advice })

export const problems = {
  invalid: problem(400, 'The request is not valid.', 'Each entry of `errors` names a field by JSON pointer, with a code and a sentence. Correct it and send again.'),
  unauthenticated: problem(401, 'Who are you?', 'Send `Authorization: Bearer TOKEN` with a token that is known, neither revoked nor expired.'),
  forbidden: problem(
    403,
    'You may not do this.',
    '`detail` says what is missing. Roles come with the token (`stint tokens add --role`). Queues go by `acl` in `apps/APP/queue.yaml`, contracts by their `callers` and `workers`, leases by who was given them.',
  ),
  'not-found': problem(404, 'There is no such thing.', 'Check the id. Work items stay readable after settlement until their retention ends.'),
  'method-not-allowed': problem(405, 'This path does not take this method.', 'The `Allow` header lists the methods it takes.'),
  'not-acceptable': problem(406, 'None of the accepted media types can be made.', 'Accept `application/json`, or what the operation says.'),
  'request-timeout': problem(408, 'The request did not arrive in time.', 'Send headers within 10 seconds and the whole request within 30.'),
  'stale-lease': problem(409, 'The lease is not the current one.', 'Another holder has the work item, or nobody. Stop working on it; what you did is not counted.'),
  settled: problem(409, 'The work item is settled.', '`state` tells how it ended. Nothing more can be done to it.'),
  aborting: problem(409, 'The work item is being aborted.', 'Abort is final: pause and resume are refused after it.'),
  'not-possible': problem(409, 'The work item is not in a state for this.', '`state` and `detail` tell what it is doing.'),
  'exists-with-other-content': problem(409, 'This id was used before with other content.', 'Use a new id, or send exactly what was sent first.'),
  'id-in-use': problem(409, 'This id belongs to another principal.', 'Use a new id.'),
  pending: problem(
    409,
    'The first request with this id is still under way.',
    'It goes on; this one was cancelled as its duplicate. Ask at `Location`, or repeat with `Prefer: wait=N`.',
  ),
  'reply-not-kept': problem(409, 'The reply was given and is not kept.', 'Its body was over the limit. The request is not run again.'),
  interrupted: problem(409, 'The request ended without a reply.', '`state` and `detail` tell how. It is not run again under this id.'),
  aborted: problem(409, 'The request was aborted.', 'It has no reply and is not run again under this id.'),
  cancelled: problem(409, 'The request was cancelled before it began.', 'It has no reply and is not run under this id.'),
  superseded: problem(409, 'Another call with the same requestId has taken this one’s place.', 'The answer goes to the later call.'),
  'queue-removed': problem(
    409,
    'The queue is in no queue file any more.',
    'It takes no inserts and gives no leases; holders may finish. Put it back into `queue.yaml` to open it again.',
  ),
  'not-served': problem(409, 'The queue is a push queue.', 'Push queues are listed and not served. Set `mode: pull` in `queue.yaml`.'),
  released: problem(410, 'The reply has been released.', 'The request was done once and is not run again. Use a new id for a new request.'),
  erased: problem(410, 'The data of this work item was erased.', 'Only its tombstone is left: it was, and it has ended.'),
  'other-log': problem(412, 'The position belongs to another log.', 'The store was restored or replaced since. Read again without the position.'),
  'too-large': problem(413, 'The request is too large.', '`detail` names the limit in bytes.'),
  'unsupported-media-type': problem(415, 'The media type or encoding is not supported.', 'Send `Content-Type: application/json` in UTF-8, without `Content-Encoding`.'),
  'unknown-operation': problem(422, 'The node does not know this operation.', '`detail` lists the operations that it knows.'),
  'fingerprint-mismatch': problem(422, 'This id was used before for another request.', 'Use a new id, or send exactly what was sent first.'),
  'too-many-live': problem(429, 'Too many live work items.', 'Let some settle, or raise `maxLiveItems`. `Retry-After` tells when to try again.'),
  lagging: problem(429, 'The tables lag too far behind the log.', 'Births are slowed until they have caught up. `Retry-After` tells when to try again.'),
  'over-quota': problem(
    429,
    'More is stored than is allowed.',
    '`detail` names the limit. Requests count until their replies are released: release those in `oldest`; `callers` tells what each caller has. Tasks count until they settle.',
  ),
  'rate-limited': problem(429, 'Too many requests.', '`Retry-After` tells when to try again.'),
  'headers-too-large': problem(431, 'The request headers are too large.', 'Send at most 16 KiB of headers.'),
  internal: problem(500, 'A defect in Stint.', 'Please report it with the `Stint-Request-Id`.'),
  'store-unavailable': problem(
    503,
    'The log cannot be written.',
    'Nothing is known to be stored. Repeat the same command with the same id or Idempotency-Key after `Retry-After` seconds.',
  ),
  behind: problem(503, 'The position has not been reached in time.', 'Ask again after `Retry-After` seconds.'),
  stopping: problem(503, 'The server is stopping.', 'Repeat after `Retry-After` seconds; another or the restarted server will answer.'),
  'keys-unavailable': problem(503, 'The keys that tokens are checked with cannot be read.', 'The server cannot reach its key set. Repeat after `Retry-After` seconds.'),
  'no-leader': problem(503, 'No server gives out this work at the moment.', 'Repeat after `Retry-After` seconds: another server takes it over within seconds.'),
  overloaded: problem(503, 'Too much is in flight.', 'Repeat after `Retry-After` seconds.'),
} as const satisfies Record<string, Problem>

export type ProblemCode = keyof typeof problems
