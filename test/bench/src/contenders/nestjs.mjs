// NestJS microservices over its Redis transport, which has channels only.
import 'reflect-metadata';
import { Controller, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ClientProxyFactory, EventPattern, MessagePattern, Transport } from '@nestjs/microservices';
import { firstValueFrom } from 'rxjs';

Logger.overrideLogger(false);

const transportOf = (url) => {
  const { protocol, hostname, port, username, password } = new URL(url);
  const options = { host: hostname, port: Number(port || 6379) };
  if (protocol === 'rediss:') options.tls = {};
  if (password) Object.assign(options, { username, password });
  return { transport: Transport.REDIS, options };
};

/** What the decorators do to a class with one method, said in plain JavaScript. */
async function start(url, decorate, handle) {
  const Handlers = class {
    handle(body) {
      return handle(body);
    }
  };
  const method = Object.getOwnPropertyDescriptor(Handlers.prototype, 'handle');
  decorate(Handlers.prototype, 'handle', method);
  Controller()(Handlers);
  // oxlint-disable-next-line typescript/no-extraneous-class -- what a Nest application is
  const App = class {};
  Module({ controllers: [Handlers] })(App);
  const app = await NestFactory.createMicroservice(App, { ...transportOf(url), logger: false });
  await app.listen();
  return () => app.close();
}

export const nestjs = {
  name: 'nestjs',
  label: 'NestJS',

  serve: (url, names) => start(url, MessagePattern(names.channel), (body) => body),

  async connect(url, names) {
    const client = ClientProxyFactory.create(transportOf(url));
    await client.connect();
    return {
      call: (_, body) => firstValueFrom(client.send(names.channel, body)),
      close: () => client.close(),
    };
  },

  frame: (body, target) => Buffer.from(JSON.stringify({ pattern: target, data: body })),

  consume: (url, { target }, handle) =>
    start(url, EventPattern(target), (body) => {
      if (body.ok) handle(1);
    }),
};
