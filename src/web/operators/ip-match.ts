/** The two operators that compare addresses with networks: ipMatch and ipMatchFromFile. */
import { parseIpv4, parseIpv6, parsePrefix, prefixContains, type IpAddress } from '../../packet/index.js';
import type { ByteString } from '../value.js';
import { operator, type CompiledOperator } from './operator.js';
import { dataLines } from './text.js';

function compileNetworks(texts: readonly string[]): CompiledOperator {
  const networks = texts.map(parsePrefix);
  return {
    match: (value) => {
      const address = addressOf(value);
      return address !== null && networks.some((network) => prefixContains(network, address));
    },
    pure: true,
  };
}

/** Null for what is no address: it lies in no network. */
function addressOf(value: ByteString): IpAddress | null {
  const word = parseIpv4(value);
  if (word !== undefined) return { version: 4, words: [word] };
  const words = parseIpv6(value);
  return words === undefined ? null : { version: 6, words };
}

export const ipMatch = operator({
  name: 'ipMatch',
  argument: 'required',
  help: 'The value is an address in one of the networks, separated by commas.',
  compile: (argument) => compileNetworks(argument.split(',').map((text) => text.trim())),
});

export const ipMatchFromFile = operator({
  name: 'ipMatchFromFile',
  aliases: ['ipMatchF'],
  argument: 'required',
  help: 'The value is an address in one of the networks of the file, one per line.',
  compile: (argument, context) => compileNetworks(dataLines(context.readFile(argument))),
});
