import type { StandardSchema } from '../contract/standard-schema.js';
import { errorText } from '../errors/error-text.js';

/** A JSON Schema, draft 7. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What zod says of a part that JSON Schema cannot express. */
interface Unrepresentable {
  readonly zodSchema: { readonly _zod: { readonly def: { readonly type: string } } };
  readonly message: string;
}

/** For zod, which otherwise throws the whole schema away for one such part. */
const ZOD = {
  unrepresentable: ({ zodSchema, message }: Unrepresentable): JsonSchema =>
    // JSON.stringify() writes a date like this, and `z.coerce.date()` takes it.
    zodSchema._zod.def.type === 'date' ? { type: 'string', format: 'date-time' } : noted(message),
};

/** The draft that AsyncAPI 3 builds upon. */
const TARGET = { target: 'draft-07' };

/** Facilities of schemas that do not follow Standard JSON Schema: zod 4 before 4.2, arktype before 2.1.28. */
interface OtherFacilities {
  readonly toJSONSchema?: (options: object) => unknown;
  readonly toJsonSchema?: () => unknown;
}

/**
 * Writes what goes over the wire for a schema: what it takes. A part that JSON Schema cannot express, and a schema whose
 * library cannot write JSON Schema, admits anything in the document, with a note that says why.
 */
export function jsonSchemaOf(schema: StandardSchema): JsonSchema {
  try {
    const { jsonSchema, vendor } = schema['~standard'];
    const other = schema as OtherFacilities;
    const written =
      jsonSchema?.input(vendor === 'zod' ? { ...TARGET, libraryOptions: ZOD } : TARGET) ??
      other.toJSONSchema?.({ target: 'draft-7', io: 'input', ...ZOD }) ??
      other.toJsonSchema?.();
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
