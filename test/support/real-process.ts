import { performance } from 'node:perf_hooks';

// A function of Node's own realm makes functions of that realm.
const NodeFunction = performance.now.constructor as FunctionConstructor;

/** Node's own `process`: the one that tests see is a copy, which hears no warnings. */
export const realProcess = NodeFunction('return process')() as NodeJS.Process;
