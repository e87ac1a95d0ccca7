/**
 * Stream events: what connection tracking and reassembly noticed about one packet, under the names of Suricata's
 * `stream-event` keyword. The list of a packet is filled by ConnTrack.lookup and StreamEngine.segment and lives until the
 * next lookup. Add an event by adding a row; ids may change between releases, names may not.
 */
export const STREAM_EVENTS = [
  '',
  '3whs_ack_in_wrong_dir',
  '3whs_right_seq_wrong_ack_evasion',
  '3whs_syn_resend_diff_seq_on_syn_recv',
  '3whs_syn_toclient_on_syn_recv',
  '3whs_synack_in_wrong_direction',
  '3whs_synack_resend_with_diff_seq',
  '3whs_synack_resend_with_different_ack',
  '3whs_synack_with_wrong_ack',
  '3whs_wrong_seq_wrong_ack',
  'est_invalid_ack',
  'est_packet_out_of_window',
  'est_pkt_before_last_ack',
  'est_syn_resend',
  'est_syn_resend_diff_seq',
  'est_syn_toclient',
  'est_synack_resend',
  'est_synack_resend_with_diff_seq',
  'est_synack_toserver',
  'fin_invalid_ack',
  'fin_out_of_window',
  'fin_syn',
  'closewait_ack_out_of_window',
  'closewait_invalid_ack',
  'fin1_invalid_ack',
  'fin1_ack_wrong_seq',
  'lastack_invalid_ack',
  'lastack_ack_wrong_seq',
  'timewait_invalid_ack',
  'timewait_ack_wrong_seq',
  'rst_invalid_ack',
  'rst_but_no_session',
  'shutdown_syn_resend',
  'suspected_rst_inject',
  'pkt_invalid_ack',
  'pkt_retransmission',
  'pkt_spurious_retransmission',
  'reassembly_seq_gap',
  'reassembly_overlap_different_data',
  'reassembly_segment_before_base_seq',
  'reassembly_depth_reached',
  'pkt_invalid_timestamp',
  '3whs_synack_tfo_data_ignored',
  '3whs_syn_flood',
  // Known to rules, never raised: they tell apart what one state of this tracker covers, count packets of a handshake, or are
  // about threads.
  '3whs_async_wrong_seq',
  '3whs_synack_flood',
  '3whs_synack_toserver_on_syn_recv',
  '3whs_ack_data_inject',
  '4whs_synack_with_wrong_ack',
  '4whs_synack_with_wrong_syn',
  '4whs_wrong_seq',
  '4whs_invalid_ack',
  'closewait_fin_out_of_window',
  'closewait_pkt_before_last_ack',
  'closing_ack_wrong_seq',
  'closing_invalid_ack',
  'est_synack_resend_with_different_ack',
  'fin1_fin_wrong_seq',
  'fin2_ack_wrong_seq',
  'fin2_fin_wrong_seq',
  'fin2_invalid_ack',
  'pkt_bad_window_update',
  'reassembly_no_segment',
  'wrong_thread',
] as const;

export type StreamEventName = Exclude<(typeof STREAM_EVENTS)[number], ''>;

/** Name -> id. */
export const StreamEvent = Object.freeze(
  Object.fromEntries(STREAM_EVENTS.map((name, id) => [name, id]).slice(1)),
) as Readonly<Record<StreamEventName, number>>;

const KEPT = 16;

/** The events of the packet in hand, and what the tracker thinks of its place in the stream. */
export class StreamEvents {
  readonly ids = new Uint8Array(KEPT);
  count = 0;
  /** The tracker found the segment outside the window: passive reassembly leaves it out. */
  outOfWindow = false;

  clear(): void {
    this.count = 0;
    this.outOfWindow = false;
  }

  add(event: number): void {
    for (let i = 0; i < this.count; i++) if (this.ids[i] === event) return;
    if (this.count < KEPT) this.ids[this.count++] = event;
  }

  has(event: number): boolean {
    for (let i = 0; i < this.count; i++) if (this.ids[i] === event) return true;
    return false;
  }
}
