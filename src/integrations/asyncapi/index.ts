// The entry `redstart/asyncapi`.
export { asyncapi, type AsyncApiOptions } from './make.ts';
export { asyncapiPage, type AsyncApiPage, type AsyncApiPageOptions } from './page.ts';
export type {
  AsyncApiChannel,
  AsyncApiDocument,
  AsyncApiInfo,
  AsyncApiMessage,
  AsyncApiOperation,
  AsyncApiVersion,
  Extension as AsyncApiExtension,
  Reference as AsyncApiReference,
} from './document.ts';
