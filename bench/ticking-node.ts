// An implementation node whose operations only say what time it is: `node bench/ticking-node.ts NAME STINT DIRECTORY`. How old a progress is can be told from it then.
import { implementationNode } from '../src/embedded/index.ts'
import type { OperationContext } from '../src/client/index.ts'

const [, , name = '', url = '', directory = ''] = process.argv
const SAY_EVERY_MS = 50
const DAY_MS = 86_400_000

class Tick {
  static readonly longTask = { timeout: '1h', progressEvery: '1s' } as const
  readonly args: { readonly total: number }
  constructor(args: { readonly total: number }) {
    this.args = args
  }
  run({ signal, progress }: OperationContext): Promise<void> {
    return new Promise((_resolve, reject) => {
      const saying = setInterval(() => progress({ done: Date.now() % DAY_MS, total: this.args.total }), SAY_EVERY_MS)
      signal.addEventListener('abort', () => {
        clearInterval(saying)
        reject(signal.reason as Error)
      })
    })
  }
}

const node = await implementationNode({ name, management: { url }, operations: [Tick], directory })
console.log(`listening ${node.url}`)
