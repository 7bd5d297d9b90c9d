import { describe, expect, it } from '@jest/globals';

import { AddressLimits, AdmissionOptions } from '../../src/config/admission-options.js';
import { HandshakeOptions } from '../../src/config/handshake-options.js';
import { InboundOptions, RateOptions } from '../../src/config/inbound-options.js';
import * as groups from '../../src/config/option-groups.js';
import { TopicHistoryOptions, TopicsOptions } from '../../src/config/topics-options.js';
import { RedisClusterSettings } from '../../src/redis/redis.options.js';
import { projectFile } from '../support/readme.js';

/** Defaults that depend on NODE_ENV, on Node's memory limit or on the request, as the docstrings write them. */
const OTHER_DEFAULTS: Readonly<Record<string, string>> = {
  proactiveIntervalMs: '60,000',
  maxPendingBytesTotal: '1/16 of the heap limit',
  maxBufferedBytesTotal: '1/4 of the heap limit',
  checkReplies: 'true; with NODE_ENV=production false',
};

const CLASSES: readonly (readonly [file: string, types: readonly (new () => object)[]])[] = [
  ['src/config/option-groups.ts', Object.values(groups)],
  ['src/config/admission-options.ts', [AddressLimits, AdmissionOptions]],
  ['src/config/handshake-options.ts', [HandshakeOptions]],
  ['src/config/inbound-options.ts', [InboundOptions, RateOptions]],
  ['src/config/topics-options.ts', [TopicHistoryOptions, TopicsOptions]],
  ['src/redis/redis.options.ts', [RedisClusterSettings]],
];

// The declarations that an editor shows have no initial values: the text is all that it can show.
const OPTIONS = CLASSES.flatMap(([file, types]) =>
  types.flatMap((type) =>
    Object.entries(new type()).map(([name, value]): [string, string, string, unknown] => [
      `${type.name}.${name}`,
      name,
      docstringOf(file, type.name, name),
      value,
    ]),
  ),
);

const UNITS = OPTIONS.flatMap(([option, name, text]): [string, string, string][] => {
  if (name.endsWith('Ms')) return [[option, 'milliseconds', text]];
  return /Bytes(?:Total)?$/.test(name) ? [[option, 'bytes', text]] : [];
});

describe('the docstring', () => {
  it.each(OPTIONS)('of %s names the default', (_, name, text, value) => {
    const [, written] = /(?:Default: |(?=Required))(.+)$/s.exec(text) ?? [];
    expect(`${written ?? ''} `).toMatch(startOf(OTHER_DEFAULTS[name] ?? shown(value)));
  });

  it.each(UNITS)('of %s names the unit: %s', (_, unit, text) => {
    expect(text).toMatch(new RegExp(unit, 'i'));
  });
});

/** The docstring of a property, as one line. */
function docstringOf(file: string, type: string, name: string): string {
  const [, body = ''] = projectFile(file).split(new RegExp(`^export class ${type} \\{$`, 'm'));
  const [own] = body.split(/^\}/m);
  const [before] = own!.split(new RegExp(`^  ${name}\\b`, 'm'));
  const [, text = ''] = /\/\*\*((?:(?!\/\*\*).)*)\*\/(?:(?!\n\n).)*$/s.exec(before!) ?? [];
  return text.replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim();
}

/** A default as docstrings write it; `undefined` for an option that may stay away is described by words. */
function shown(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (Number.isNaN(value)) return 'Required';
  if (typeof value === 'number') return value.toLocaleString('en-US');
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return `\`'${value}'\``;
  return `\`[${(value as string[]).map((item) => `'${item}'`).join(', ')}]\``;
}

function startOf(text: string | undefined): RegExp {
  if (text === undefined) return /^[a-z]/;
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\/]/g, String.raw`\$&`)}[.,;]? `);
}
