import { randomId } from '../internal/ids.ts';
import type { MessageFormat } from '../message/format.ts';
import type { RpcDefaults } from '../api/options.ts';
import { INBOX_PREFIX } from '../transport/inboxes.ts';
import type { Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';
import { CallTable } from './caller/call-table.ts';
import { Calls } from './caller/calls.ts';
import { MultiCalls } from './caller/multi-calls.ts';
import { Recovery } from './caller/recovery.ts';
import { GapChannel } from './gap-channel.ts';
import { Inbox } from './inbox.ts';
import { AnswerBundles } from './responder/answer-bundles.ts';
import { AnswerLog } from './responder/answer-log.ts';
import { Cancellations } from './responder/cancellations.ts';
import { IdCalls } from './responder/id-calls.ts';
import { KeptAnswers } from './responder/kept-answers.ts';
import { StreamAnswers } from './responder/stream-answers.ts';

/** An open connection and what calls need on it, as caller and as responder. */
export interface Session {
  readonly transport: Transport;
  readonly calls: Calls;
  readonly multiCalls: MultiCalls;
  readonly inbox: Inbox;
  readonly cancellations: Cancellations;
  readonly answerLog: AnswerLog;
  readonly answerBundles: AnswerBundles;
  readonly keptAnswers: KeptAnswers;
  readonly idCalls: IdCalls;
  readonly streamAnswers: StreamAnswers;
  /** Ends all calls with a `BrokerClosedError` and leaves the inbox. The transport stays open. */
  close(): Promise<void>;
}

/** Makes the parts for a connected transport. Nothing is subscribed to before the first call or answer. */
export function openSession(
  transport: Transport,
  { maxPending = 65_536, inboxPrefix = INBOX_PREFIX }: RpcDefaults,
  format: MessageFormat,
  report: Report,
): Session {
  const inbox = new Inbox(transport, inboxPrefix, randomId(22), format, report);
  const gapChannel = new GapChannel(transport, inboxPrefix, report);

  const table = new CallTable(maxPending, report);
  const calls = new Calls(transport, table, inbox, gapChannel, report);
  const multiCalls = new MultiCalls(transport, table, inbox);
  const recovery = new Recovery(transport, table, calls, inbox, gapChannel, report);

  const answerLog = new AnswerLog(inbox, gapChannel, report);
  const answerBundles = new AnswerBundles(inbox);
  const keptAnswers = new KeptAnswers(transport, inbox);
  const idCalls = new IdCalls(transport, inbox, answerLog, keptAnswers, report);
  const cancellations = new Cancellations(inbox, report);
  const streamAnswers = new StreamAnswers(inbox, report);

  inbox.route({
    // From a responder to this caller.
    answer: (message) => calls.find(message)?.value(message),
    error: (message) => calls.find(message)?.error(message),
    declined: (message) => calls.find(message)?.declined(message),
    expired: (message) => table.find(message)?.declined(message),
    item: (message) => table.find(message)?.item(message),
    end: (message) => table.find(message)?.end(message),
    taken: (message) => calls.taken(message),
    probe: (message) => calls.taken(message),
    kept: () => recovery.kept(),
    // From a caller to this responder.
    cancel: (message) => cancellations.cancel(message),
    credit: (message) => streamAnswers.credit(message),
    restored: () => {
      recovery.restored();
      streamAnswers.interrupted();
      cancellations.restored();
    },
  });
  gapChannel.route({
    lost: (from, lostCalls) => {
      if (inbox.homeOf(from) !== from) return;
      const ids = new Set(lostCalls.split(' '));
      answerLog.sendAgain(from, ids);
      cancellations.repeat(from, ids);
    },
    gap: () => recovery.gap(),
    restored: () => answerLog.notifyGap(),
  });
  // Requests come over the connection for channels, questions for answers over that for answers.
  const forget = transport.onChannelsRestored(() => answerLog.notifyGap());

  const close = async (): Promise<void> => {
    forget();
    gapChannel.close();
    recovery.close();
    cancellations.close();
    table.close();
    calls.close();
    await inbox.close();
  };
  return {
    transport,
    calls,
    multiCalls,
    inbox,
    cancellations,
    answerLog,
    answerBundles,
    keptAnswers,
    idCalls,
    streamAnswers,
    close,
  };
}
