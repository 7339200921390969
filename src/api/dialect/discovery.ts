// The discovery document, from which generic clients learn the v1beta2 Task Queue API: made from the table of methods and the resources, for the address at which it was asked.
import { BASE_PATH, generalParameters, methodNames, methods, type Method } from './methods.ts'
import { schemas } from './schemas.ts'

export const DIRECTORY_PATH = '/discovery/v1/apis'
export const DOCUMENT_PATH = '/discovery/v1/apis/taskqueue/v1beta2/rest'

/** Raised when what the document says has changed. */
const REVISION = '20180220'

const SCOPE = 'https://www.googleapis.com/auth/taskqueue'
const scopes = {
  [SCOPE]: { description: 'Insert tasks, and work on them' },
  [`${SCOPE}.consumer`]: { description: 'Work on tasks' },
}

const api = {
  id: 'taskqueue:v1beta2',
  name: 'taskqueue',
  version: 'v1beta2',
  title: 'Task Queue API',
  description: 'Pull queues for applications outside: insert, lease and delete tasks.',
}

const inGeneral = ({ type, ...rest }: (typeof generalParameters)[string]) => ({ type, location: 'query', ...rest })

/** Bounds are texts in this format, and what is not required is not mentioned. */
const parameter = ({ required, minimum, maximum, ...rest }: Method['parameters'][string]) => ({
  ...rest,
  ...(required ? { required } : {}),
  ...(minimum === undefined ? {} : { minimum: String(minimum) }),
  ...(maximum === undefined ? {} : { maximum: String(maximum) }),
})

const described = ({ name, path, httpMethod, description, parameters, request, response }: Method) => ({
  id: `taskqueue.${name}`,
  path,
  httpMethod,
  description,
  parameters: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, parameter(value)])),
  parameterOrder: Object.keys(parameters).filter((key) => parameters[key]?.required),
  ...(request === undefined ? {} : { request: { $ref: request } }),
  ...(response === undefined ? {} : { response: { $ref: response } }),
  scopes: Object.keys(scopes),
})

const resources = (): Record<string, { methods: Record<string, ReturnType<typeof described>> }> => {
  const found: Record<string, { methods: Record<string, ReturnType<typeof described>> }> = {}
  for (const name of methodNames) {
    const [resource = '', method = ''] = name.split('.')
    found[resource] ??= { methods: {} }
    found[resource].methods[method] = described(methods[name])
  }
  return found
}

/** @param root where the server was asked, as `http://localhost:7070/` */
export const discoveryDocument = (root: string) => ({
  kind: 'discovery#restDescription',
  discoveryVersion: 'v1',
  ...api,
  revision: REVISION,
  protocol: 'rest',
  rootUrl: root,
  servicePath: BASE_PATH.slice(1),
  basePath: BASE_PATH,
  baseUrl: root + BASE_PATH.slice(1),
  parameters: Object.fromEntries(Object.entries(generalParameters).map(([name, value]) => [name, inGeneral(value)])),
  auth: { oauth2: { scopes } },
  schemas,
  resources: resources(),
})

/** The list of APIs, of which there is one. */
export const directory = (root: string) => ({
  kind: 'discovery#directoryList',
  discoveryVersion: 'v1',
  items: [{ kind: 'discovery#directoryItem', ...api, discoveryRestUrl: root + DOCUMENT_PATH.slice(1), discoveryLink: './apis/taskqueue/v1beta2/rest', preferred: true }],
})
