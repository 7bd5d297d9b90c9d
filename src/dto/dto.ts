import {
  type ClassConstructor,
  type ClassTransformOptions,
  plainToInstance,
} from 'class-transformer';
import { validate, type ValidationError, type ValidatorOptions } from 'class-validator';

import type { StandardIssue, StandardResult, StandardSchema } from '../contract/standard-schema.js';

/** What a sender passes for a value of a class: its fields, and texts for dates. */
export type PlainOf<T> = T extends Date
  ? Date | string
  : T extends (...args: never[]) => unknown
    ? never
    : T extends readonly (infer Item)[]
      ? PlainOf<Item>[]
      : T extends object
        ? {
            [Key in keyof T as T[Key] extends (...args: never[]) => unknown ? never : Key]: PlainOf<
              T[Key]
            >;
          }
        : T;

/** How `dto()` makes and checks its objects. */
export interface DtoOptions {
  /** As `class-validator` takes them: `whitelist`, `forbidNonWhitelisted`, `groups`, … */
  readonly validator?: ValidatorOptions;
  /** As `class-transformer` takes them: `enableImplicitConversion`, `excludeExtraneousValues`, … */
  readonly transform?: ClassTransformOptions;
  /** What the AsyncAPI document says about the class, as JSON Schema: neither package can write it. */
  readonly jsonSchema?: Readonly<Record<string, unknown>>;
}

/**
 * The schema of a class with decorators of `class-validator` and `class-transformer`, for a contract. Its values are
 * instances of the class. As with `ValidationPipe`, asynchronous validators are awaited.
 *
 * Senders pass the fields of the class, with texts for dates. Where that is not so, because a field is computed or made of
 * something else, name what they pass: `dto<SayDto, SayInput>(SayDto)`.
 *
 * @example
 * ```ts
 * export class SayDto { @IsString() @MaxLength(200) text!: string; }
 * export const chat = defineContract({ client: { say: { data: dto(SayDto) } } });
 * ```
 */
export function dto<T extends object>(
  type: ClassConstructor<T>,
  options?: DtoOptions,
): StandardSchema<PlainOf<T>, T>;
// Not one function with a default: the type that the place of the call expects would be taken for `Input`.
export function dto<T extends object, Input>(
  type: ClassConstructor<T>,
  options?: DtoOptions,
): StandardSchema<Input, T>;
export function dto<T extends object>(
  type: ClassConstructor<T>,
  { validator, transform, jsonSchema }: DtoOptions = {},
): StandardSchema<unknown, T> {
  const check = async (value: object): Promise<StandardResult<T>> => {
    const instance = plainToInstance(type, value, transform);
    const errors = await validate(instance, validator);
    return errors.length === 0
      ? { value: instance }
      : { issues: errors.flatMap((error) => issuesOf(error)) };
  };
  return {
    '~standard': {
      version: 1,
      vendor: 'class-validator',
      validate: (value) =>
        isRecord(value)
          ? check(value)
          : { issues: [{ message: `must be an object, as ${type.name} is` }] },
      ...(jsonSchema && { jsonSchema: { input: () => jsonSchema, output: () => jsonSchema } }),
    },
  };
}

// An array would become an array of instances.
function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function issuesOf(
  { property, constraints = {}, children = [] }: ValidationError,
  above: readonly string[] = [],
): StandardIssue[] {
  const path = [...above, property];
  return [
    ...Object.values(constraints).map((message) => ({ message, path })),
    ...children.flatMap((child) => issuesOf(child, path)),
  ];
}
