import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ClientAddresses, type TrustProxy } from 'nestjs-websocket-isolation';

import { forwarded } from '../../src/address/forwarded-headers.js';
import {
  addressClass,
  canonicalAddress,
  clientNetwork,
  maskedAddress,
} from '../../src/address/ip-address.js';

const PROXY = '10.0.0.1';

interface Case {
  readonly peer?: string | undefined;
  readonly list?: string;
  readonly elements?: string;
}

function finding(trustProxy: TrustProxy | undefined, { peer = PROXY, list, elements }: Case) {
  const failures: unknown[] = [];
  const addresses = new ClientAddresses(trustProxy, 'masked', {
    trustFailed: (error) => void failures.push(error),
  });
  const headers = {
    ...(list !== undefined && { 'x-forwarded-for': list }),
    ...(elements !== undefined && { forwarded: elements }),
  };
  const request = { headers, socket: { remoteAddress: peer } };
  const address = addresses.of(request);
  const counted = Object.entries(addresses.faults).filter(([, count]) => count > 0);
  // A second look at the same request finds the same, and counts nothing.
  expect(addresses.of(request)).toBe(address);
  expect(Object.entries(addresses.faults).filter(([, count]) => count > 0)).toEqual(counted);
  return { address, faults: Object.fromEntries(counted), failures };
}

const found = (trustProxy: TrustProxy | undefined, given: Case): string | undefined =>
  finding(trustProxy, given).address;

describe('The address of a client', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1::', '2001:db8:0:1::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['::', '::'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['192.0.2.01', undefined],
    ['localhost', undefined],
    ['', undefined],
  ])('has one text: %s is %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  it('is the same after a second reading, for every IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const canonical = canonicalAddress(text)!;
        expect(canonicalAddress(canonical)).toBe(canonical);
        const hostname = canonicalAddress(new URL(`http://[${text}]`).hostname.slice(1, -1));
        expect(hostname).toBe(canonical);
      }),
    );
  });

  it.each([
    ['192.0.2.77', '192.0.2.77', '192.0.2.0/24', 'ipv4'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48', 'ipv6'],
    ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8::/48', 'ipv6'],
    ['::1', '0:0:0:0::/64', '::/48', 'loopback'],
    ['127.3.2.1', '127.3.2.1', '127.3.2.0/24', 'loopback'],
    ['172.31.0.1', '172.31.0.1', '172.31.0.0/24', 'private'],
    ['172.32.0.1', '172.32.0.1', '172.32.0.0/24', 'ipv4'],
    ['100.64.0.1', '100.64.0.1', '100.64.0.0/24', 'private'],
    ['100.128.0.1', '100.128.0.1', '100.128.0.0/24', 'ipv4'],
    ['fd00::1', 'fd00:0:0:0::/64', 'fd00::/48', 'private'],
    ['fe80::1', 'fe80:0:0:0::/64', 'fe80::/48', 'private'],
  ])(
    '%s counts as %s, is logged as %s and is of the class %s',
    (address, network, masked, kind) => {
      expect([clientNetwork(address), maskedAddress(address), addressClass(address)]).toEqual([
        network,
        masked,
        kind,
      ]);
    },
  );
});

describe('Without trusted proxies', () => {
  it('the peer is the client, whatever it claims, and the claim is counted', () => {
    expect(finding(undefined, { list: '8.8.8.8', elements: 'for=8.8.8.8' })).toEqual({
      address: PROXY,
      faults: { untrusted: 1 },
      failures: [],
    });
    expect(finding(undefined, {})).toEqual({ address: PROXY, faults: {}, failures: [] });
  });
});

describe('X-Forwarded-For', () => {
  it.each<[TrustProxy, string, string]>([
    [1, '8.8.8.8', '8.8.8.8'],
    [1, '6.6.6.6, 8.8.8.8', '8.8.8.8'],
    [2, '6.6.6.6, 8.8.8.8, 10.0.0.2', '8.8.8.8'],
    [2, '8.8.8.8', '8.8.8.8'],
    [1, ' , 8.8.8.8 ,, ', '8.8.8.8'],
    [1, '8.8.8.8:4711', '8.8.8.8'],
    [1, '[2001:db8::1]:4711', '2001:db8::1'],
    [1, '2001:DB8::0:1', '2001:db8::1'],
    [1, '::ffff:8.8.8.8', '8.8.8.8'],
    [['10.0.0.0/8'], '6.6.6.6, 8.8.8.8, 10.9.9.9', '8.8.8.8'],
    [['10.0.0.1', '2001:db8::/32'], '6.6.6.6, 8.8.8.8, 2001:db8::7', '8.8.8.8'],
    [['10.0.0.0/8'], '10.3.3.3, 10.9.9.9', '10.3.3.3'],
    [(address) => address === PROXY, '6.6.6.6, 8.8.8.8', '8.8.8.8'],
    [(_address, hop) => hop < 2, '6.6.6.6, 8.8.8.8, 10.0.0.2', '8.8.8.8'],
  ])('with trustProxy %p, %s names %s', (trustProxy, list, client) => {
    expect(finding(trustProxy, { list })).toEqual({ address: client, faults: {}, failures: [] });
  });

  it('is ignored and counted where the peer is not among the proxies', () => {
    const peer = '203.0.113.9';
    expect(finding(['10.0.0.0/8'], { peer, list: '8.8.8.8' })).toMatchObject({
      address: peer,
      faults: { untrusted: 1 },
    });
  });

  it('is believed as far as it can be read', () => {
    for (const nonsense of [
      '1.2.3',
      'evil.example',
      '8.8.8.8:x',
      '[::1',
      '1.2.3.4, <script>',
      'a b',
    ]) {
      expect(finding(1, { list: nonsense })).toMatchObject({
        address: PROXY,
        faults: { malformed: 1 },
      });
    }
    expect(finding(2, { list: 'nonsense, 10.0.0.2' }).address).toBe('10.0.0.2');
    expect(finding(1, { list: 'unknown' })).toMatchObject({
      address: PROXY,
      faults: { hidden: 1 },
    });
    // What a client has written is never read where the proxy has appended.
    expect(finding(1, { list: 'nonsense, 8.8.8.8' })).toMatchObject({
      address: '8.8.8.8',
      faults: {},
    });
  });

  it('is believed of a peer on a Unix socket by number or by function, but by no network', () => {
    expect(found(1, { peer: '', list: '8.8.8.8' })).toBe('8.8.8.8');
    expect(found((address) => address === undefined, { peer: '', list: '8.8.8.8' })).toBe(
      '8.8.8.8',
    );
    expect(found(['0.0.0.0/1'], { peer: '', list: '8.8.8.8' })).toBeUndefined();
  });
});

describe('Forwarded', () => {
  it.each([
    ['for=8.8.8.8', '8.8.8.8'],
    ['For="8.8.8.8:4711";proto=https;by=10.0.0.1', '8.8.8.8'],
    ['for=6.6.6.6, for=8.8.8.8', '8.8.8.8'],
    ['for="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for="[2001:db8:cafe::17]"', '2001:db8:cafe::17'],
    ['for="[::ffff:8.8.8.8]"', '8.8.8.8'],
    [' by=_secret ; for = 6.6.6.6', undefined],
    [' by=_secret ; for=8.8.8.8 , ', '8.8.8.8'],
    [String.raw`for="8.8\.8.8"`, '8.8.8.8'],
    ['host="a,b;for=6.6.6.6";for=8.8.8.8', '8.8.8.8'],
  ])('%s names %s', (elements, client) => {
    expect(found(1, { elements })).toBe(client ?? PROXY);
  });

  it.each([
    ['for=unknown', 'hidden'],
    ['for=_gazonk', 'hidden'],
    ['for="_gazonk:_port"', 'hidden'],
    ['for="unknown:80"', 'hidden'],
    ['proto=https', 'malformed'],
    ['for=', 'malformed'],
    ['for="8.8.8.8', 'malformed'],
    ['for=[2001:db8::1]', 'malformed'],
    ['for=8.8.8.8;for=6.6.6.6', 'malformed'],
    ['for="6.6.6.6, for="8.8.8.8"', 'malformed'],
    ['for=9.9.9.9;by=", for="[2001:db8::1]"', 'malformed'],
    ['for=8.8.8.8 for=6.6.6.6', 'malformed'],
    ['8.8.8.8', 'malformed'],
  ])('%s names no client, and counts as %s', (elements, fault) => {
    expect(finding(1, { elements })).toMatchObject({ address: PROXY, faults: { [fault]: 1 } });
  });

  it('has to agree with X-Forwarded-For, since a client can write the one that the proxy does not', () => {
    expect(finding(1, { list: '8.8.8.8', elements: 'for=8.8.8.8' })).toMatchObject({
      address: '8.8.8.8',
      faults: {},
    });
    expect(finding(1, { list: '8.8.8.8', elements: 'for=6.6.6.6' })).toMatchObject({
      address: PROXY,
      faults: { conflicting: 1 },
    });
  });

  it('is read in time that grows no faster than the header', () => {
    const worst = ['for="\\', 'a=b;', ' '.repeat(8), 'for=a,', '\\"', '="', 'a'];
    for (const part of worst) {
      const startedAt = process.cpuUsage().user;
      forwarded(part.repeat(Math.ceil(64_000 / part.length)));
      // Quadratic time would be minutes.
      expect(process.cpuUsage().user - startedAt).toBeLessThan(2_000_000);
    }
  });

  it('never throws, and names only addresses', () => {
    const text = fc.string({
      unit: fc.constantFrom(...Array.from('for=";,\\[]:.1a _')),
      maxLength: 60,
    });
    fc.assert(
      fc.property(text, text, (list, elements) => {
        const address = found(2, { list, elements })!;
        expect(canonicalAddress(address)).toBe(address);
      }),
    );
  });
});

describe('A trustProxy function', () => {
  it.each<[string, unknown]>([
    ['a text', () => 'yes'],
    ['a promise', async () => true],
    ['a promise that rejects', () => Promise.reject(new Error('planned'))],
    ['nothing', () => undefined],
    [
      'an error',
      () => {
        throw new Error('planned');
      },
    ],
  ])('that gives %s trusts no proxy, and is reported', (_what, trustProxy) => {
    const { address, failures } = finding(trustProxy as TrustProxy, { list: '8.8.8.8' });
    expect(address).toBe(PROXY);
    expect(failures).toEqual([expect.any(Error)]);
  });
});
