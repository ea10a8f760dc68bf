/**
 * Every waiting time of the transports, in milliseconds, but for those that users set (`claim.minIdle`,
 * `connectTimeout`). They are one object so that tests can run on shorter ones; some depend on others,
 * so tests scale all of them by one factor.
 */
export interface Timings {
  // Connections

  /** For a connection to be made and to answer its handshake. */
  readonly connect: number;
  /** Shortest pause before a lost connection is made again; the pauses grow from here with every attempt. */
  readonly reconnectMin: number;
  /** Longest pause before a lost connection is made again. */
  readonly reconnectMax: number;
  /** The same where another server is to take over: behind Sentinel, and to a cluster's node. */
  readonly failoverReconnectMax: number;
  /** The same for a cluster's first connection, while none of its nodes answers. */
  readonly clusterReconnectMax: number;
  /** Shortest pause after the server has refused the login: every attempt costs it about four commands. */
  readonly refusedMin: number;
  /** Longest pause after the server has refused the login. */
  readonly refusedMax: number;
  /** Before a command is sent again that a server refuses while it changes its role. */
  readonly roleChange: number;
  /** Before a command to a cluster is sent again during a fail-over. About 10 s in all: see `maxRedirections`. */
  readonly failoverRetry: number;
  /** For a cluster to answer where its slots are, and whether it has sharded channels. */
  readonly refreshSlots: number;

  // Watching connections

  /** Between two PINGs on a connection. */
  readonly ping: number;
  /** For a PING, or for the handshake of a new connection. With `ping` it is under 5 s. */
  readonly pong: number;

  // Blocking reads

  /** How long Redis holds a read that finds nothing. An idle reader costs one command in this time. */
  readonly block: number;
  /** Beyond `block`, until a connection that is silent is suspected to be dead. */
  readonly blockGrace: number;
  /** Between two looks at whether the server answers on another connection. */
  readonly suspicion: number;
  /** For the server to answer CLIENT UNBLOCK. */
  readonly unblock: number;
  /** Between two CLIENT UNBLOCKs, until the read has ended. */
  readonly unblockAgain: number;
  /** How long a read waits for its connection before it throws `DisconnectedError`. */
  readonly readerReconnect: number;

  // Channels

  /** For the server to confirm an unsubscription. */
  readonly unsubscribe: number;
  /** Shortest pause before subscriptions that were refused after a reconnect are made again. */
  readonly resubscribeMin: number;
  /** The longest. */
  readonly resubscribeMax: number;

  // Closing a source

  /** For each step of closing a group's or a reliable list's source. What is not given back by then is given back by others. */
  readonly leave: number;
  /** For items of a plain list to be put back: nobody else would do it. */
  readonly putBack: number;

  // Stream groups

  /** Longest time between two scans for entries of dead consumers; half of `minIdle` where that is shorter. */
  readonly claimMax: number;
  /** Shortest time between two scans. */
  readonly claimMin: number;
  /** Between two XTRIMs of one subscriber. */
  readonly trim: number;
  /** Beyond its own outage, how long a consumer waits for the others to give signs of life before it takes over. */
  readonly grace: number;

  // Reliable lists

  /** Between two signs of life of a consumer. */
  readonly beat: number;
  /**
   * Silence after which a consumer's items are given back, as seen by one that watches it; in memory,
   * after which a closed source gives back what was still handled. Longer pauses of items are kept on
   * the server.
   */
  readonly expiry: number;
  /** Between two looks at the other consumers. Longer than `beat`, so that a living one has given a sign since the last. */
  readonly look: number;
  /** Silence after which a consumer is forgotten, its items given back. Until then a move that Redis, the network or a frozen process held up may still arrive. */
  readonly forget: number;
  /** Between two looks at a consumer that is known to be dead. */
  readonly lookAgain: number;
  /** Between two looks for parked messages, where none is known to be due sooner. */
  readonly parkedLook: number;
  /** Between two reads of a list while the server is out of memory and refuses to block. */
  readonly fullPoll: number;
  /** How long keys that hold no message outlive the last consumer. */
  readonly keyLife: number;

  // Delayed messages

  /** Longest time between two looks for what is due, where new messages are heard of. */
  readonly delayedLook: number;
  /** The same where they are not. */
  readonly delayedPoll: number;
  /** How long a mover has the messages of one target in hand before others look at them. */
  readonly storeLease: number;
  /** How long a message is put off that the server refuses to send. */
  readonly refusedPause: number;

  // Ids

  /** How long whoever handles a message with an id is known to live; a third of it is between two renewals. */
  readonly lease: number;

  // What the server has refused

  /** Shortest pause before a command about a delivery (acknowledgement, retry, parking) is sent again. */
  readonly insistMin: number;
  /** The longest. */
  readonly insistMax: number;
}

export const TIMINGS: Timings = {
  connect: 3_000,
  reconnectMin: 10,
  reconnectMax: 5_000,
  failoverReconnectMax: 500,
  clusterReconnectMax: 2_000,
  refusedMin: 2_000,
  refusedMax: 15_000,
  roleChange: 150,
  failoverRetry: 150,
  refreshSlots: 2_000,
  ping: 1_400,
  pong: 3_150,
  block: 3_000,
  blockGrace: 1_500,
  suspicion: 100,
  unblock: 500,
  unblockAgain: 5,
  readerReconnect: 1_000,
  unsubscribe: 1_000,
  resubscribeMin: 250,
  resubscribeMax: 5_000,
  leave: 1_000,
  putBack: 5_000,
  claimMax: 15_000,
  claimMin: 250,
  trim: 1_000,
  grace: 500,
  beat: 3_000,
  expiry: 9_000,
  look: 6_000,
  forget: 60_000,
  lookAgain: 30_000,
  parkedLook: 18_000,
  fullPoll: 500,
  keyLife: 86_400_000,
  delayedLook: 30_000,
  delayedPoll: 5_000,
  storeLease: 1_000,
  refusedPause: 60_000,
  lease: 30_000,
  insistMin: 100,
  insistMax: 3_000,
};

/** The key of an option of brokers that is for this repository's tests alone: other times than {@link TIMINGS}. */
export const timingsOption: unique symbol = Symbol('timings');

export interface TimingsOption {
  readonly [timingsOption]?: Timings | undefined;
}
