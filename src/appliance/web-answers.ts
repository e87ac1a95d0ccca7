/**
 * What the two ends of a connection that web protection broke off are told: the client a page or a reset, the server a reset.
 * Whoever goes on talking afterwards - a message was lost, an upload is still under way - is answered again, so that no end
 * is left waiting for its timeouts.
 */
import type { Rejecter } from '../firewall/index.js';
import { TO_SERVER, type Flow } from '../flow/index.js';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, type FrameBatch, type PacketView } from '../packet/index.js';
import type { BlockMessage, WebStage } from '../web/index.js';

const NOTHING = new Uint8Array(0);

export class WebAnswers {
  readonly #stage: WebStage;
  readonly #rejecter: Rejecter;
  readonly #batch: FrameBatch;

  constructor(stage: WebStage, rejecter: Rejecter, batch: FrameBatch) {
    this.#stage = stage;
    this.#rejecter = rejecter;
    this.#batch = batch;
  }

  /** `view` was held back by a web rule. */
  blocked(view: PacketView, flow: Flow): void {
    const message = this.#stage.answer(flow);
    if (message === null) return;
    this.#tellClient(view, message, view.flowDir === TO_SERVER);
    this.#send(view, view.flowDir !== TO_SERVER, message.serverSeq, message.serverAck, TCP_RST | TCP_ACK, NOTHING);
  }

  /** A packet of a connection that was broken off before. */
  talkedOn(view: PacketView, flow: Flow): void {
    const message = this.#stage.answer(flow);
    if (message === null || view.l4Off < 0 || (view.tcpFlags & TCP_RST) !== 0) return;
    const length = view.payloadLen + ((view.tcpFlags & TCP_FIN) === 0 ? 0 : 1);
    if (view.flowDir !== TO_SERVER) this.#send(view, true, view.ack, 0, TCP_RST, NOTHING);
    else if (length === 0) return;
    else if (message.page === null) this.#send(view, true, view.ack, 0, TCP_RST, NOTHING);
    else {
      const end = (message.clientSeq + message.page.length + 1) | 0;
      const ack = (view.seq + length) | 0;
      const got = ((view.ack - end) | 0) >= 0;
      if (got) this.#send(view, true, end, ack, TCP_ACK, NOTHING);
      else this.#send(view, true, message.clientSeq, ack, TCP_PSH | TCP_ACK | TCP_FIN, message.page);
    }
  }

  #tellClient(view: PacketView, { page, clientSeq, clientAck }: BlockMessage, back: boolean): void {
    if (page === null) this.#send(view, back, clientSeq, clientAck, TCP_RST | TCP_ACK, NOTHING);
    else this.#send(view, back, clientSeq, clientAck, TCP_PSH | TCP_ACK | TCP_FIN, page);
  }

  #send(view: PacketView, back: boolean, seq: number, ack: number, flags: number, payload: Uint8Array): void {
    const port = back ? view.ingress : view.egress;
    if (port < 0) return;
    const row = this.#rejecter.segment(this.#batch, view, back, seq, ack, flags, payload);
    if (row >= 0) this.#batch.send(row, port);
  }
}
