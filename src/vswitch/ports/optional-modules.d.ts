/** The part of two optional packages that is used here; neither ships types. */
declare module 'cap' {
  export class Cap {
    /**
     * Start capturing. The addon keeps only the address of `buffer`: the caller must keep the object alive.
     * @returns name of the link type
     */
    open(device: string, filter: string, bufferSize: number, buffer: Buffer): string;
    on(event: 'packet', listener: (length: number, truncated: boolean) => void): void;
    close(): void;
  }
}
declare module 'raw-socket' {
  export const AddressFamily: { readonly IPv4: number; readonly IPv6: number };
  export interface RawSocket {
    send(buffer: Buffer, offset: number, length: number, address: string, after: (error: Error | null, bytes: number) => void): void;
    on(event: 'error', listener: (error: Error) => void): void;
    pauseRecv(): void;
    close(): void;
  }
  export function createSocket(options: { protocol: number; addressFamily: number }): RawSocket;
}
