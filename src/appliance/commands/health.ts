/** `drawbridge health`: asks the running appliance's /healthz; for HEALTHCHECK and supervisors. Needs no configuration. */

/** @returns 0 when the appliance answers that it is fine, 1 otherwise */
export async function health(options: { url: string }): Promise<number> {
  try {
    const response = await fetch(options.url, { signal: AbortSignal.timeout(2500) });
    const text = (await response.text()).trim();
    process.stdout.write(`${text}\n`);
    return response.ok ? 0 : 1;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    process.stderr.write(`drawbridge: ${options.url}: ${cause}\n`);
    return 1;
  }
}
