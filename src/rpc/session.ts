import { randomId } from '../internal/ids.ts';
import type { MessageFormat } from '../message/format.ts';
import type { RpcDefaults } from '../api/options.ts';
import { AnswerLog } from './responder/answer-log.ts';
import { Calls } from './caller/calls.ts';
import { Conversations } from './caller/multi-calls.ts';
import { Inbox } from './inbox.ts';
import { Recovery } from './gap-channel.ts';
import { StreamAnswers } from './responder/stream-answers.ts';
import { TakenCalls } from './responder/cancellations.ts';
import type { Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';

/** An open connection, and what calls need on it: made by `connect`, gone with `stop`. */
export interface Line {
  readonly transport: Transport;
  readonly calls: Calls;
  readonly conversations: Conversations;
  readonly inbox: Inbox;
  readonly takenCalls: TakenCalls;
  readonly answers: AnswerLog;
  readonly streams: StreamAnswers;
}

export function openLine(
  transport: Transport,
  { maxPending = 65_536, inboxPrefix = 'redstart:inbox:' }: RpcDefaults,
  format: MessageFormat,
  report: Report,
): Line {
  // In braces: on a cluster all that belongs to one inbox is on one node.
  const name = `${inboxPrefix}{${randomId(22)}}`;
  const inbox = new Inbox(transport, name, format, report);
  const recovery = new Recovery(transport, inboxPrefix, report);
  const answers = new AnswerLog(transport, inbox, recovery, report);
  const conversations = new Conversations(transport, inbox);
  const calls = new Calls(transport, inbox, recovery, conversations, { maxPending, report });
  const takenCalls = new TakenCalls(transport, inbox, report);
  const streams = new StreamAnswers(inbox);
  return { transport, calls, conversations, inbox, takenCalls, answers, streams };
}
