// Both real clients pass the same conformance suite.
import { describe } from 'vitest'
import { clients } from './clients.ts'
import { conformance } from './conformance.ts'

describe.each(clients)('$name', (client) => conformance(client))
