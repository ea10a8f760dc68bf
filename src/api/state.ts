/**
 * What `ctx.state` holds, as far as the whole program knows. Middleware that puts something there
 * declares it, and every handler sees its type:
 * `declare module 'redstart' { interface MessageState { tenant: string } }`.
 */
export interface MessageState {
  [key: string]: unknown;
}
