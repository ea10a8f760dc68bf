import { describe } from 'vitest';
import { channelContract } from './channels.ts';
import { claimsContract } from './claims.ts';
import { delayedContract } from './delayed.ts';
import { groupContract } from './groups.ts';
import { benchOf, type Backend } from './harness.ts';
import { listContract } from './lists.ts';
import { pendingContract } from './pending.ts';
import { reliableContract } from './reliable.ts';
import { returningContract } from './returning.ts';
import { sharedContract } from './shared.ts';
import { streamContract } from './streams.ts';

/**
 * What every transport promises (src/transport/transport.ts). `start` gives each test data of its
 * own.
 */
export function transportContract(title: string, start: () => Backend): void {
  const bench = () => benchOf(start);
  describe(`transport over ${title}`, () => {
    describe('in general', () => {
      sharedContract(bench);
    });
    describe('channels', () => {
      channelContract(bench);
    });
    describe('lists', () => {
      listContract(bench);
    });
    describe('reliable lists', () => {
      reliableContract(bench);
    });
    describe('streams without a group', () => {
      streamContract(bench);
    });
    describe('streams with a group', () => {
      groupContract(bench);
    });
    describe('entries of consumers that are gone', () => {
      claimsContract(bench);
    });
    describe('what is given back, and what waits', () => {
      returningContract(bench);
    });
    describe('frames that are sent later', () => {
      delayedContract(bench);
    });
    describe('pending entries of a group', () => {
      pendingContract(bench);
    });
  });
}

/** The part of it that shows in little time whether lists and streams are read as they should. */
export function readingContract(title: string, start: () => Backend): void {
  const bench = () => benchOf(start);
  describe(`reading over ${title}`, () => {
    describe('lists', () => {
      listContract(bench);
    });
    describe('streams without a group', () => {
      streamContract(bench);
    });
    describe('streams with a group', () => {
      groupContract(bench);
    });
    describe('pending entries of a group', () => {
      pendingContract(bench);
    });
  });
}
