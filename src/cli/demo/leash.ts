// Loaded before a child's own program (`node --import`): the child ends when the process that started it is gone, however that one ended, as its stdin closes then.
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  const { stdin } = process
  stdin.once('end', () => process.exit(1))
  stdin.once('error', () => process.exit(1))
  stdin.resume()
  // A program that has nothing more to do may end: the leash does not keep it.
  if ('unref' in stdin) stdin.unref()
}
