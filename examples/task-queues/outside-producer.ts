// An application outside: it puts orders into the print shop's queue and has no other right there. Run it beside `stint serve --config examples/task-queues`.
// In your own project: import { connect } from 'stint'
import { connect } from '../../src/client/index.ts'

const count = Number(process.argv[2] ?? 10)

// STINT_URL and STINT_TOKEN, else http://127.0.0.1:7070. `as` is for trying it out: a server with tokens knows by the token who this is.
await using stint = connect({ as: 'web@bookshop.example' })
const orders = stint.producer({ app: 'print-shop', queue: 'orders' })

/** One call for each order: what is put at the same time travels together, and a repeat after a lost answer orders nothing twice. */
const place = async (number: number): Promise<string> => {
  const pages = 1 + ((number * 37) % 90)
  const { id, state } = await orders.put({ title: `Book ${number}`, pages }, { tag: pages > 60 ? 'thick' : 'thin' })
  return `${id}  ${state}  Book ${number}, ${pages} pages`
}

const placed = await Promise.all(Array.from({ length: count }, (_, index) => place(index + 1)))
process.stdout.write(`${placed.join('\n')}\n`)
