import type { Receipt } from '../transport.ts';

/** Frames in one RPUSH, at most: then the server begins while the rest is made. */
const MAX_FRAMES = 32;

/** Bytes in one RPUSH, about. A larger frame is sent alone. */
const MAX_BYTES = 64 * 1024;

type Send = (list: string, frames: readonly Buffer[], receipt: Receipt) => void;

/**
 * Sends the frames that one tick has for one list as one RPUSH. Each receipt is told the length of the
 * list after its own frame, which follows from the length after the last.
 */
export class ListPushes {
  readonly #send: Send;
  #list = '';
  #frames: Buffer[] = [];
  #receipts: Receipt[] = [];
  #bytes = 0;
  #isScheduled = false;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Sends a frame by the end of this tick. */
  add(list: string, frame: Buffer, receipt: Receipt): void {
    if (list !== this.#list || this.#bytes + frame.length > MAX_BYTES) this.flush();
    this.#list = list;
    this.#frames.push(frame);
    this.#receipts.push(receipt);
    this.#bytes += frame.length;
    if (this.#frames.length === MAX_FRAMES) return this.flush();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(this.#endOfTick);
  }

  /** Sends what was added. For every other command on the connection, so that none overtakes it. */
  flush(): void {
    const frames = this.#frames;
    if (frames.length === 0) return;
    const receipts = this.#receipts;
    this.#frames = [];
    this.#receipts = [];
    this.#bytes = 0;
    this.#send(
      this.#list,
      frames,
      receipts.length === 1 ? (receipts[0] as Receipt) : all(receipts),
    );
  }

  readonly #endOfTick = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
}

/** Each receipt hears of its own frame. */
function all(receipts: readonly Receipt[]): Receipt {
  return {
    sent: (length) => {
      const before = (length as number) - receipts.length;
      for (let i = 0; i < receipts.length; i++) (receipts[i] as Receipt).sent(before + i + 1);
    },
    refused: (error) => {
      for (const receipt of receipts) receipt.refused(error);
    },
  };
}
