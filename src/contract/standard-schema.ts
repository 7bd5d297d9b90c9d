/**
 * A schema of any library that follows the Standard Schema specification, version 1: zod, valibot, arktype and others.
 * Declared here, so that a contract needs no package.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': StandardProperties<Input, Output>;
}

/** What a schema says about itself. */
export interface StandardProperties<Input = unknown, Output = Input> {
  readonly version: 1;
  /** The library that the schema is of. */
  readonly vendor: string;
  readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
  /** Only for the compiler: no schema has this at run time. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  /** Writes the schema as JSON Schema, where its library can. */
  readonly jsonSchema?: StandardJsonSchema | undefined;
}

/** What a schema returns for a value: the value it made of it, or what is wrong with it. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One fault of a value. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The draft to write, and what only one library understands. */
interface JsonSchemaOptions {
  readonly target: string;
  readonly libraryOptions?: Record<string, unknown> | undefined;
}

/** The JSON Schema of what a schema takes, and of what it makes of it. Both throw for what JSON Schema cannot express. */
export interface StandardJsonSchema {
  readonly input: (options: JsonSchemaOptions) => Record<string, unknown>;
  readonly output: (options: JsonSchemaOptions) => Record<string, unknown>;
}

type TypesOf<Schema> = Schema extends StandardSchema
  ? NonNullable<Schema['~standard']['types']>
  : { readonly input: never; readonly output: never };

/** What a sender passes: the type before defaults and transformations. */
export type InputOf<Schema> = TypesOf<Schema>['input'];

/** What a receiver gets: the type after defaults and transformations. */
export type OutputOf<Schema> = TypesOf<Schema>['output'];
