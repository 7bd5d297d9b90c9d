/** The key of TLS with a pre-shared key, which needs no certificate. */
const key = Buffer.from('a key that both sides know already');
const settings = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;

/** Options for the server: `httpsOptions` of Nest, `https` of Fastify. */
export const tlsServer = { ...settings, pskCallback: () => key };

/** Options for a client of `node:tls` or `ws`. */
export const tlsClient = {
  ...settings,
  checkServerIdentity: () => undefined,
  pskCallback: () => ({ psk: key, identity: 'ada' }),
};
