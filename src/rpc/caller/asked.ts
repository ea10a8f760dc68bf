import { OverloadedError, UnknownIdError, type RedstartError } from '../../errors.ts';
import { monotonicTime } from '../../internal/clock.ts';
import type { Encoder } from '../../message/encoder.ts';
import { isFrame } from '../../message/envelope.ts';
import type { Extras } from '../../message/extras.ts';
import { binaryFormat, openFrame } from '../../message/format.ts';
import { ReceivedMessage } from '../../message/message.ts';
import { describe, type Target } from '../../transport/address.ts';
import { MAX_ASKERS, type CallState } from '../../transport/marks.ts';
import type { Transport } from '../../transport/transport.ts';
import type { PendingCall } from './call-table.ts';

/** Asks the server for the answer of a call. Undefined for a call without an id. */
export async function askFor(
  transport: Transport,
  call: PendingCall,
  inbox: string,
): Promise<CallState | undefined> {
  const { command, ownReply, expiresAt } = call;
  const { id } = command.extras ?? {};
  if (id === undefined) return undefined;
  const deadline =
    command.timeout === null ? undefined : transport.timed.clock.in(expiresAt - monotonicTime());
  return transport.marks.askCall(
    { name: command.to.name, id },
    {
      call: command.call,
      replyTo: ownReply?.address.name ?? inbox,
      correlationId: command.correlationId,
      deadline,
    },
  );
}

/** A kept answer, in the binary format or in the caller's own. */
export function openAnswer(answer: Buffer, to: Target, { format }: Encoder): ReceivedMessage {
  const frame = openFrame(answer, isFrame(answer) ? binaryFormat : format);
  return new ReceivedMessage(answer, frame, { channel: to.name });
}

/** Why a call that asks for an answer cannot wait for it. */
export function notKnown(
  to: Target,
  extras: Extras | undefined,
  { state }: CallState,
): RedstartError {
  if (state === 'full') return new OverloadedError(MAX_ASKERS);
  return new UnknownIdError(
    `no call '${extras?.id}' to ${describe(to)} runs or has a kept answer: it was never made, it failed, or its answer is no longer kept: make the call`,
  );
}
