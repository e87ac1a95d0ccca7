/** tls.store: keep the certificates of the connection. */
import { TlsTransaction } from '../../protocols/index.js';
import { keyword } from '../keyword.js';
import type { InspectContext } from '../match/context.js';
import { PostMatch } from '../match/match.js';

class StoreCertificates extends PostMatch {
  apply({ tx }: InspectContext): void {
    if (tx instanceof TlsTransaction) tx.keepCertificates = true;
  }
}

export const tlsStore = keyword({
  name: 'tls.store',
  aliases: ['tlsstore'],
  kind: 'post',
  help: 'The `tls` event of the connection holds the certificates of the server in base64.',
  usage: ['tls.store'],
  value: 'none',
  parse(draft) {
    draft.impliedApp = 'tls';
    draft.postMatches.push(new StoreCertificates());
  },
});
