import fc from 'fast-check';

/** Texts of all Unicode planes, with lone surrogates, and words with a special meaning in some layer. */
const idText = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
  fc.string({
    unit: fc.integer({ min: 0, max: 0xff_ff }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 12,
  }),
  fc.string({ unit: fc.constantFrom('a', ':', '%', '3', 'A', '.', '/', '{', '}', ',', ' ') }),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'leases',
    'a%3Ab',
    '*',
    '..',
    '0x1',
    '1e3',
  ),
  fc.string({ unit: 'binary', minLength: 250, maxLength: 300 }).map((text) => text.slice(0, 256)),
);

/** Changes that some layer may not distinguish: normal forms, case, separators, encodings, lone surrogates. */
const nearby: readonly ((id: string) => string)[] = [
  (id) => id.normalize('NFC'),
  (id) => id.normalize('NFD'),
  (id) => id.normalize('NFKC'),
  (id) => `${id}\u00e9`.normalize('NFD'),
  (id) => id.toLowerCase(),
  (id) => id.toUpperCase(),
  (id) => ` ${id}`,
  (id) => `${id} `,
  (id) => id.trim(),
  (id) => `${id}\u200d`,
  (id) => `${id}\ud800`,
  (id) => `${id}\udfff`,
  (id) => `${id}\ufffd`,
  (id) => id.toWellFormed(),
  (id) => id.replaceAll(':', '%3A'),
  (id) => id.replaceAll('%3A', ':'),
  (id) => id.replaceAll(/[:%,./ ]/g, '_'),
  (id) => encodeURIComponent(id.toWellFormed()),
  (id) => JSON.stringify(id),
  (id) => Buffer.from(id, 'utf8').toString('latin1'),
  (id) => Buffer.from(id, 'latin1').toString('latin1'),
  (id) => id.slice(0, -1),
  (id) => `${id}:`,
  (id) => id.padEnd(256, 'x'),
  (id) => id.padEnd(256, 'x').slice(0, 255),
];

/** Two different ids, usually ids that are easily confused. */
export const differentIds: fc.Arbitrary<readonly [string, string]> = fc
  .oneof(
    fc.tuple(idText, idText),
    fc
      .tuple(idText, fc.constantFrom(...nearby), fc.constantFrom(...nearby))
      .map(([id, one, other]) => [one(id), other(id)] as const),
    fc
      .tuple(
        idText,
        fc.constantFrom('\ud800', '\ud801', '\udc00', '\ufffd'),
        fc.constantFrom(...nearby),
      )
      .map(([id, half, change]) => [`${id}${half}`, change(`${id}\ufffd`)] as const),
  )
  .filter(([one, other]) => one !== other);
