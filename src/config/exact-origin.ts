// An origin as clients send it: a scheme, a host, and a port where it is not the default of the scheme. Apps have
// schemes of their own (`capacitor://localhost`, `tauri://localhost`, `chrome-extension://…`, `app://.`), and `file://`
// has no host.
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\*,]*$/;
/** The Origin header of a page without an origin, such as a page in a sandboxed frame. */
const OPAQUE = 'null';

/** The fault of an entry of `allowedOrigins`, with what to write instead; `undefined` for an exact origin. */
export function originFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'an origin must be a string';
  if (value === OPAQUE) return undefined;
  if (value === '*' || value === 'same-origin') {
    return `'${value}' is not allowed in a list: write allowedOrigins: '${value}'`;
  }
  if (value.includes('*')) {
    return "wildcards are not supported: write a function, (origin) => origin?.endsWith('.app.example') === true";
  }
  const exact = exactOrigin(value);
  if (exact === value) return undefined;
  return exact === undefined
    ? "it is not an origin: write the scheme, the host and the port, such as 'https://app.example'"
    : `clients send '${exact}': write that`;
}

// The origin that a client sends for an address with or without a scheme; `undefined` where the text is no address.
function exactOrigin(value: string): string | undefined {
  const text = value.trim();
  if (!text.includes('://'))
    return /^[\w.-]+(:\d+)?\/?$/.test(text) ? exactOrigin(`https://${text}`) : undefined;
  if (!URL.canParse(text)) return undefined;
  const { origin, protocol, host } = new URL(text);
  if (protocol === 'ws:' || protocol === 'wss:') return exactOrigin(text.replace(/^ws/i, 'http'));
  // `URL` computes no origin for a scheme that is not of the web. There the origin is the part before the path.
  const exact = origin === 'null' ? `${protocol}//${host}` : origin;
  return ORIGIN.test(exact) ? exact : undefined;
}
