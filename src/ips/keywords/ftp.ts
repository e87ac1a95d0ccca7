/** Keywords of FTP. */
import { DIR_TO_SERVER } from '../draft.js';
import { keyword } from '../keyword.js';
import { Compare, NumberTest, trimArg } from '../option.js';
import { TxNumberMatch } from './tx-numbers.js';

const COMMANDS: Readonly<Record<string, number>> = { retr: 1, stor: 2 };

export const ftpdataCommand = keyword({
  name: 'ftpdata_command',
  kind: 'transaction',
  help: 'The command that opened an FTP data connection.',
  usage: ['ftpdata_command:retr', 'ftpdata_command:stor'],
  value: 'required',
  parse(draft, option) {
    const arg = trimArg(option.unquoted());
    const command = arg.text.toLowerCase();
    if (!Object.hasOwn(COMMANDS, command)) option.fail(arg, 'unknown command', Object.keys(COMMANDS));
    draft.impliedApp = 'ftp-data';
    draft.txMatches.push(new TxNumberMatch('ftpdata.command', new NumberTest(Compare.EQ, COMMANDS[command]!, 0)));
    draft.perPacket = true;
  },
});

export const ftpbounce = keyword({
  name: 'ftpbounce',
  kind: 'transaction',
  help: 'An FTP client asks the server to connect to another host than itself.',
  usage: ['ftpbounce'],
  value: 'none',
  parse(draft) {
    draft.impliedApp = 'ftp';
    draft.txMatches.push(new TxNumberMatch('ftp.bounce', new NumberTest(Compare.EQ, 1, 0), DIR_TO_SERVER));
    draft.perPacket = true;
  },
});
