// The signals that ask a command to stop.
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

export type StopSignal = (typeof STOP_SIGNALS)[number]
