export { type CheckedClientOptions, connectChecked } from './connect-checked.js';
