import type * as whole from 'class-validator';
import * as allow from 'class-validator/cjs/decorator/common/Allow.js';
import * as isIn from 'class-validator/cjs/decorator/common/IsIn.js';
import * as isOptional from 'class-validator/cjs/decorator/common/IsOptional.js';
import * as validateNested from 'class-validator/cjs/decorator/common/ValidateNested.js';
import * as max from 'class-validator/cjs/decorator/number/Max.js';
import * as min from 'class-validator/cjs/decorator/number/Min.js';
import * as matches from 'class-validator/cjs/decorator/string/Matches.js';
import * as maxLength from 'class-validator/cjs/decorator/string/MaxLength.js';
import * as isBoolean from 'class-validator/cjs/decorator/typechecker/IsBoolean.js';
import * as isInt from 'class-validator/cjs/decorator/typechecker/IsInt.js';
import * as isNumber from 'class-validator/cjs/decorator/typechecker/IsNumber.js';
import * as isString from 'class-validator/cjs/decorator/typechecker/IsString.js';
import * as registration from 'class-validator/cjs/register-decorator.js';
import * as validator from 'class-validator/cjs/validation/Validator.js';

// The parts of class-validator that this library uses. Its main file loads a hundred decorators, and with them the
// telephone numbers of the world: a third of the time in which an app of twenty gateways boots. `class-validator` has no
// `exports`, so its files may be imported one by one; they are the same files that its main file loads, so an app that
// uses class-validator shares them. `unit/class-validator.spec.ts` fails when they move.

type Whole = typeof whole;

export const Allow: Whole['Allow'] = allow.Allow;
export const IsBoolean: Whole['IsBoolean'] = isBoolean.IsBoolean;
export const IsIn: Whole['IsIn'] = isIn.IsIn;
export const IsInt: Whole['IsInt'] = isInt.IsInt;
export const IsNumber: Whole['IsNumber'] = isNumber.IsNumber;
export const IsOptional: Whole['IsOptional'] = isOptional.IsOptional;
export const IsString: Whole['IsString'] = isString.IsString;
export const Matches: Whole['Matches'] = matches.Matches;
export const Max: Whole['Max'] = max.Max;
export const MaxLength: Whole['MaxLength'] = maxLength.MaxLength;
export const Min: Whole['Min'] = min.Min;
export const ValidateNested: Whole['ValidateNested'] = validateNested.ValidateNested;
export const registerDecorator: Whole['registerDecorator'] = registration.registerDecorator;

export type { ValidationError, ValidationOptions } from 'class-validator';

const rules = new validator.Validator();

/** The faults of an object whose properties carry their rules as decorators. */
export function validateSync(object: object): whole.ValidationError[] {
  return rules.validateSync(object);
}
