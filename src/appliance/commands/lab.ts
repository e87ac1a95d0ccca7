export async function lab(o: { once: boolean; replay: boolean; metrics: string }): Promise<number> { return o.once ? 0 : 0; }
