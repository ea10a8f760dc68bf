#!/usr/bin/env node
import { main } from './command-line.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(); // the reader has closed the pipe, as in `redstart dlq ls … | head`
});

process.exitCode = await main(process.argv.slice(2), process);
