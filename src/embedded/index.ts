// The engine in a user's own process: `import { open } from 'stint/embedded'`, and over it an implementation node: `import { implementationNode } from 'stint/embedded'`.
export { open, type Embedded, type OpenOptions } from './open.ts'
export type { ContractSettings } from './contract-settings.ts'
export type { ContractStore } from './contract-store.ts'
export { implementationNode, type ImplementationNode } from './node/implementation-node.ts'
export type { ImplementationNodeOptions } from './node/options.ts'
