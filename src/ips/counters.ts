/** What operators should know about, counted since construction. */
export class IpsCounters {
  /** Rules that matched, and alerts reported. */
  matches = 0;
  alerts = 0;
  alertsBlocked = 0;
  /** Alerts beyond maxAlertsPerPacket. */
  alertsDiscarded = 0;
  /** Matches that a threshold kept from being an alert. */
  alertsSuppressed = 0;
  /** Rules judged after the prefilter. */
  checks = 0;
  /** Stream and transaction rules whose waiting place was needed by others. */
  stateLost = 0;
}
