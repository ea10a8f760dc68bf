/** The types of the options of an address that are given beside it. */
import type { Kind } from '../transport/address.ts';
import type {
  BatchOptions,
  ChannelOptions,
  GroupOptions,
  NoBatchOptions,
  NoChannelOptions,
  NoDeliveryOptions,
  NoGroupOptions,
  NoListOptions,
  NoStreamOptions,
  StreamOptions,
} from './addresses.ts';
import type { DeliveryOptions } from './delivery.ts';
import type { OnceOptions } from './identity.ts';
import type { NoRatedOptions, RatedOptions } from './rate.ts';

/** `Acknowledged` says whether the address itself has a group, or is a reliable list. */
export type AddressOptionsBeside<
  K extends Kind,
  Acknowledged extends boolean,
  B extends boolean,
> = {
  channel: ChannelOptions &
    NoListOptions &
    NoStreamOptions &
    NoBatchOptions &
    NoDeliveryOptions &
    NoRatedOptions;
  list: BatchOptions<B> &
    RatedOptions &
    NoChannelOptions &
    NoStreamOptions &
    (Acknowledged extends true ? ReliableBeside & { reliable?: boolean } : PlainListBeside);
  stream: Omit<StreamOptions, 'group'> &
    BatchOptions<B> &
    NoChannelOptions &
    NoListOptions &
    (Acknowledged extends true ? GroupBeside & { group?: string } : PlainStreamBeside);
}[K];

/** What makes a message be delivered again. */
type ReliableBeside = DeliveryOptions & OnceOptions;

/** A plain list may become a reliable one here. */
type PlainListBeside =
  | (NoDeliveryOptions & { reliable?: false })
  | (ReliableBeside & { reliable: true });

type GroupBeside = GroupOptions & DeliveryOptions & RatedOptions & OnceOptions;

/** A stream may get its group here. */
type PlainStreamBeside =
  | (NoGroupOptions & NoDeliveryOptions & NoRatedOptions & { group?: undefined })
  | (GroupBeside & { group: string });
