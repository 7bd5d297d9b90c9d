// Load this with `node --import` to run a TypeScript file of the project without a build.
import { register } from 'node:module';

register('./typescript-hooks.js', import.meta.url);
