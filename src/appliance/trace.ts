/** The words of `explain`: what each stage found and decided about one packet. Off (null) unless somebody asked. */

export interface TraceLine {
  readonly stage: string;
  readonly text: string;
}

export class Tracer {
  readonly lines: TraceLine[] = [];

  add(stage: string, text: string): void {
    this.lines.push({ stage, text });
  }

  clear(): void {
    this.lines.length = 0;
  }
}
