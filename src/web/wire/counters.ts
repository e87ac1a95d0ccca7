/** What operators should know about web protection, counted since construction. */
export class WebCounters {
  /** Transactions judged, those in which a rule that is logged matched, those blocked, and those that `detect` would have blocked. */
  transactions = 0;
  matched = 0;
  blocked = 0;
  wouldBlock = 0;
  /** Requests that a policy exempted. */
  exempt = 0;
  /** Connections that went on in another protocol (Upgrade, CONNECT): what follows is not judged here. */
  upgrades = 0;
  /** Connections that could not be read as HTTP any further. */
  unparsable = 0;
  /** Times the memory for bodies was used up. */
  memcap = 0;
  /** Requests judged whose response was not: the client pipelined too many. */
  responsesSkipped = 0;
  /** Requests not held to their end: too long, or the client was slow. */
  holdsGivenUp = 0;
  /** Gauges: transactions open, body bytes kept for them. */
  open = 0;
  bytes = 0;
}
