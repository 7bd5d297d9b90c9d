// As clients send them: a scheme, a host, and a port where it is not the scheme's own. Apps have schemes of their own
// (`capacitor://localhost`, `tauri://localhost`, `chrome-extension://…`, `app://.`), and `file://` has no host.
const ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@\\*,]*$/;
/** What a page sends that has no origin, such as one in a sandboxed frame. */
const OPAQUE = 'null';

/** What is wrong with an entry of `allowedOrigins` and what to write instead; `undefined` where it is an exact origin. */
export function originFault(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'an origin is a text';
  if (value === OPAQUE) return undefined;
  if (value === '*' || value === 'same-origin') {
    return `'${value}' stands alone: write allowedOrigins: '${value}'`;
  }
  if (value.includes('*')) {
    return "there are no wildcards: write a function, (origin) => origin?.endsWith('.app.example') === true";
  }
  const exact = exactOrigin(value);
  if (exact === value) return undefined;
  return exact === undefined
    ? "it is no origin: write the scheme, the host and the port, such as 'https://app.example'"
    : `clients send '${exact}': write that`;
}

// The origin that a client sends for an address; `undefined` for what is none, with or without a scheme.
function exactOrigin(value: string): string | undefined {
  const text = value.trim();
  if (!text.includes('://'))
    return /^[\w.-]+(:\d+)?\/?$/.test(text) ? exactOrigin(`https://${text}`) : undefined;
  if (!URL.canParse(text)) return undefined;
  const { origin, protocol, host } = new URL(text);
  if (protocol === 'ws:' || protocol === 'wss:') return exactOrigin(text.replace(/^ws/i, 'http'));
  // Of a scheme that is not of the web the origin is not worked out; it is the part in front of the path.
  const exact = origin === 'null' ? `${protocol}//${host}` : origin;
  return ORIGIN.test(exact) ? exact : undefined;
}
