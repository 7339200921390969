// Server-sent events out of a response body (the `text/event-stream` format of the HTML standard), because `EventSource` takes no headers and Node 20 has none.

export interface ServerSentEvent {
  readonly event: string
  readonly data: string
  /** The last `id:` seen, with this event or before it. */
  readonly id: string | undefined
}

/** The blocks of a stream, parsed; `heard` is called for every piece that arrives, comments too. Ends when the body ends, throws when it is cut. */
export async function* serverSentEvents(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<ServerSentEvent, void, undefined> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let id: string | undefined
  let event = ''
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      // A block without its empty line was cut off: the standard drops it.
      if (done) return
      heard()
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { event: event || 'message', data: data.join('\n'), id }
          event = ''
          data = []
          continue
        }
        const [, name = '', text = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
        if (name === 'data') data.push(text)
        else if (name === 'event') event = text
        else if (name === 'id') id = text
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
