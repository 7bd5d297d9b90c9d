export { dto, type DtoOptions, type PlainOf } from './dto.js';
