// `node --import` this to run a TypeScript file of the project as it is.
import { register } from 'node:module';

register('./typescript-hooks.js', import.meta.url);
