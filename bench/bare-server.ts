// The least that a Node server can do, to measure Stint against: reads what it is sent and answers hello.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer((request, response) => {
  request.resume().once('end', () => response.writeHead(201, { 'Content-Type': 'text/plain', 'Content-Length': 5 }).end('hello'))
})
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${(server.address() as AddressInfo).port}`))
