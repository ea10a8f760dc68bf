// What this service and its callers agree on. Callers import these values, and nothing else of it.
import { event, rpc } from 'redstart';
import { z } from 'zod';

/** Greets somebody. Rejects with `NOT_WELCOME` for a name that is on the list of unwanted names. */
export const greet = rpc(
  { list: 'greetings' },
  {
    request: z.object({ name: z.string().min(1) }),
    reply: z.object({ text: z.string() }),
    errors: { NOT_WELCOME: z.object({ name: z.string() }) },
  },
);

/** Somebody was greeted. A group handles each event once; a failed one is retried, and then a dead letter. */
export const greeted = event(
  { stream: 'greeted', group: 'statistics', maxlen: 10_000 },
  { schema: z.object({ name: z.string() }) },
);
