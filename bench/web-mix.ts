/** The requests that benchmarks of web protection send: browser headers, three cookies, values that differ from request to request. */
import type { RequestHead } from '../src/web/index.js';

/** A request of the mix and the page that answers it. */
export interface Exchange {
  readonly kind: string;
  readonly head: RequestHead;
  readonly body: Buffer;
  readonly page: Buffer;
}

/** Small deterministic generator (xorshift32). */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }

  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }

  hex(digits: number): string {
    let text = '';
    while (text.length < digits) text += this.below(16).toString(16);
    return text;
  }

  words(n: number): string {
    return Array.from({ length: n }, () => WORDS[this.below(WORDS.length)]!).join(' ');
  }
}

const WORDS = ('time person year way day thing man world life hand part child eye woman place work week case point government company number group ' +
  'problem fact good new first last long great little own other old right big high different small large next early young important few public bad same able').split(' ');

const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';

function request(random: Random, kind: string, method: string, target: string, type: string | null, body: string): Exchange {
  const fields = [
    'Host', 'shop.example.org', 'Connection', 'keep-alive', 'Cache-Control', 'max-age=0', 'User-Agent', AGENT,
    'Accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Accept-Encoding', 'gzip, deflate', 'Accept-Language', 'en-US,en;q=0.9', 'Referer', 'http://shop.example.org/catalogue/index.html',
    'Cookie', `session=${random.hex(32)}; theme=light; visitor=${random.hex(16)}`,
  ];
  const bytes = Buffer.from(body, 'latin1');
  if (type !== null) fields.push('Content-Type', type, 'Content-Length', String(bytes.length));
  let page = '<!DOCTYPE html><html><head><title>Shop</title></head><body>';
  while (page.length < 4000) page += `<p class="item">${random.words(9)}</p>\n`;
  return { kind, head: { line: `${method} ${target} HTTP/1.1`, method, target, protocol: 'HTTP/1.1', fields }, body: bytes, page: Buffer.from(`${page}</body></html>`) };
}

const FORM = 'application/x-www-form-urlencoded';

/** Ten requests: six GETs with 0 to 4 parameters, login, 1 kB form, JSON, 7 kB upload. */
export function mix(random: Random): Exchange[] {
  const w = (n: number): string => random.words(n).replaceAll(' ', '+');
  const boundary = `----WebKitFormBoundary${random.hex(16)}`;
  let file = '';
  while (file.length < 6400) file += `${random.words(12)}\r\n`;
  const upload =
    `--${boundary}\r\nContent-Disposition: form-data; name="title"\r\n\r\n${random.words(4)}\r\n` +
    `--${boundary}\r\nContent-Disposition: form-data; name="document"; filename="notes-${random.hex(4)}.txt"\r\nContent-Type: text/plain\r\n\r\n${file}\r\n--${boundary}--\r\n`;
  return [
    request(random, 'GET', 'GET', '/', null, ''),
    request(random, 'GET', 'GET', '/static/css/main.css', null, ''),
    request(random, 'GET 1', 'GET', `/product?id=${random.below(100000)}`, null, ''),
    request(random, 'GET 2', 'GET', `/search?q=${w(3)}&page=${random.below(50)}`, null, ''),
    request(random, 'GET 3', 'GET', `/list?category=${w(1)}&sort=price&order=asc`, null, ''),
    request(random, 'GET 4', 'GET', `/catalogue/items?brand=${w(1)}&min=${random.below(100)}&max=${100 + random.below(900)}&q=${w(2)}`, null, ''),
    request(random, 'login', 'POST', '/login', FORM, `user=${w(1)}${random.below(1000)}&password=${random.hex(12)}&csrf=${random.hex(32)}`),
    request(random, 'form', 'POST', '/contact', FORM, `name=${w(2)}&email=${w(1)}%40example.org&subject=${w(5)}&text=${w(150)}`.slice(0, 1024)),
    request(random, 'JSON', 'POST', '/api/cart', 'application/json', JSON.stringify({ item: random.below(100000), quantity: 2, note: random.words(8), options: { colour: 'blue', gift: true, size: [40, 42] } })),
    request(random, 'upload', 'POST', '/upload', `multipart/form-data; boundary=${boundary}`, upload),
  ];
}
