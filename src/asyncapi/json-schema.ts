import type { StandardSchema } from '../contract/standard-schema.js';
import { errorText } from '../errors/error-text.js';

/** A JSON Schema, draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The draft that AsyncAPI 3 builds upon. */
const TARGET = { target: 'draft-07' };

/** Facilities of schemas that do not follow Standard JSON Schema: zod 4 before 4.2, arktype before 2.1.28. */
type OtherFacilities = Partial<Record<'toJSONSchema' | 'toJsonSchema', () => unknown>>;

/**
 * Writes what goes over the wire for a schema: what it takes. A schema whose library cannot write it as JSON Schema
 * admits anything in the document, with a note that says why.
 */
export function jsonSchemaOf(schema: StandardSchema): JsonSchema {
  try {
    const { jsonSchema, vendor } = schema['~standard'];
    const other = schema as OtherFacilities;
    const written =
      jsonSchema?.input(TARGET) ?? other.toJSONSchema?.() ?? other.toJsonSchema?.() ?? undefined;
    if (typeof written === 'object' && written !== null) return withoutDraft(written);
    return noted(`this schema of ${vendor} cannot be written as JSON Schema`);
  } catch (error) {
    return noted(errorText(error));
  }
}

function noted(why: string): JsonSchema {
  return { description: `Not described: ${why}.` };
}

function withoutDraft(written: object): JsonSchema {
  const { $schema: _draft, ...rest } = written as { $schema?: unknown };
  return rest;
}

/**
 * A schema at its place in a document: its references to its own parts (`#/$defs/Folder`) start at the document.
 *
 * @param place where the schema is: `#/channels/…`
 */
export function placed(schema: JsonSchema, place: string): JsonSchema {
  return JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    key === '$ref' && typeof value === 'string' ? value.replace(/^#/, place) : value,
  ) as JsonSchema;
}
