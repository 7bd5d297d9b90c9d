import { el } from './dom.js';

// A JSON Schema as elements that a person reads.

/** Schemas may refer to themselves. */
const DEEPEST = 4;

/** The type of a value, its rules, and its fields one below the other. @param root what references start at */
export function schemaView(schema, root, depth = 0) {
  const own = resolve(schema, root);
  const view = [typeView(own, root), ...rulesView(own)];
  const fields = depth < DEEPEST ? fieldsView(own, root, depth) : undefined;
  return fields ? [...view, fields] : view;
}

function resolve(schema, root) {
  // A reference beside other words is often the only part of an `allOf`.
  const { $ref } = schema?.allOf?.length === 1 ? schema.allOf[0] : (schema ?? {});
  if (typeof $ref !== 'string' || !$ref.startsWith('#/')) return schema ?? {};
  const path = $ref.slice(2).split('/');
  const found = path.reduce((part, key) => part?.[key], root);
  return typeof found === 'object' && found !== null ? found : schema;
}

function typeView(schema, root) {
  return el('code', { className: 'type' }, typeText(schema, root));
}

function typeText(schema, root, depth = 0) {
  if (schema === true || depth > 3) return 'any';
  const own = resolve(schema, root);
  const inner = (other) => typeText(other, root, depth + 1);
  const options = own.anyOf ?? own.oneOf;
  if (Array.isArray(options)) return [...new Set(options.map(inner))].join(' | ');
  if (own.type === 'array') return `array of ${inner(own.items ?? true)}`;
  return valuesText(own) ?? kindText(own);
}

function kindText({ type, properties }) {
  return [type ?? (properties ? 'object' : 'any')].flat().join(' | ');
}

function valuesText(schema) {
  const values = 'const' in schema ? [schema.const] : schema.enum;
  return values?.map((value) => JSON.stringify(value)).join(' | ');
}

const RULES = {
  format: (value) => value,
  minLength: (value) => `at least ${count(value, 'character')}`,
  maxLength: (value) => `at most ${count(value, 'character')}`,
  // The pattern of a known format says nothing more.
  pattern: (value, { format }) => (format === undefined ? `matches ${value}` : undefined),
  minimum: (value) => (isBound(value) ? `at least ${value}` : undefined),
  maximum: (value) => (isBound(value) ? `at most ${value}` : undefined),
  exclusiveMinimum: (value) => `above ${value}`,
  exclusiveMaximum: (value) => `below ${value}`,
  minItems: (value) => `at least ${count(value, 'item')}`,
  maxItems: (value) => `at most ${count(value, 'item')}`,
  default: (value) => `default ${JSON.stringify(value)}`,
};

// Libraries write the bounds of a safe integer for every integer.
function isBound(value) {
  return Math.abs(value) < Number.MAX_SAFE_INTEGER;
}

function count(number, what) {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function rulesView(schema) {
  const rules = Object.entries(RULES)
    .filter(([name]) => name in schema)
    .flatMap(([name, say]) => say(schema[name], schema) ?? []);
  const { description = '' } = schema;
  return [rules.join(', '), description]
    .filter((text) => text !== '')
    .map((text) => el('span', { className: 'rule' }, ` ${text}`));
}

function fieldsView(schema, root, depth) {
  const own = schema.type === 'array' ? resolve(schema.items, root) : schema;
  const options = (own.anyOf ?? own.oneOf ?? []).map((option) => resolve(option, root));
  const objects = [own, ...options].filter(({ properties }) => properties);
  if (objects.length < 2) return listOf(objects.flatMap((each) => fieldsOf(each, root, depth)));
  const alternatives = objects.map((each, index) => {
    const word = el('span', { className: 'rule' }, index === 0 ? 'either' : 'or');
    return el(
      'li',
      { className: 'field' },
      word,
      listOf(fieldsOf(each, root, depth)) ?? ' no fields',
    );
  });
  return listOf(alternatives);
}

function listOf(fields) {
  return fields.length > 0 ? el('ul', { className: 'fields' }, ...fields) : undefined;
}

function fieldsOf({ properties, required = [] }, root, depth) {
  return Object.entries(properties).map(([name, value]) => {
    const isRequired = required.includes(name);
    const mark = isRequired ? [el('span', { className: 'required' }, 'required'), ' '] : [];
    const view = schemaView(value, root, depth + 1);
    return el('li', { className: 'field' }, el('code', {}, name), ' ', ...mark, ...view);
  });
}
