// What kind of command it is, as far as carrying it out depends on that.
import type { CommandToDo } from './command.ts'

export const isBirth = (command: CommandToDo): boolean =>
  command.type === 'RegisterJob' || command.type === 'InsertTask' || command.type === 'AcceptRequest' || command.type === 'DispatchOperation'

/** Only what carries the current lease is a sign of life (rules 30); a registration is one when it gives the lease, not when it is repeated. */
export const carriesLease = (command: CommandToDo): boolean => command.type === 'Report' || command.type === 'AskDirective' || command.type === 'ExtendLease'
export const isFromHolder = (command: CommandToDo): boolean => carriesLease(command) || command.type === 'RegisterJob' || command.type === 'TakeOperation'

/** What time says is said of what is known, and nobody waits for an answer. A sign of life changes nothing, so it needs no certainty. */
export const needsNoHead = (command: CommandToDo): boolean => {
  switch (command.type) {
    case 'AskDirective':
    case 'ExpireLease':
    case 'LoseHolder':
    case 'GiveUpLost':
    case 'Interrupt':
    case 'TimeOut':
      return true
    case 'Report':
      return command.outcome === undefined
    case 'RegisterJob':
    case 'InsertTask':
    case 'AcceptRequest':
    case 'DispatchOperation':
    case 'TakeOperation':
    case 'FailOperation':
    case 'LeaseItem':
    case 'DeleteTask':
    case 'ExtendLease':
    case 'ReleaseLease':
    case 'GiveDirective':
    case 'Redrive':
    case 'Reply':
    case 'ReleaseReply':
    case 'NoteEffects':
    case 'Erase':
      return false
  }
}
