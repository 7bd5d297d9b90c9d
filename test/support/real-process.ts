import { performance } from 'node:perf_hooks';

// The `Function` constructor of Node's own realm. Jest runs tests in another realm.
const NodeFunction = performance.now.constructor as FunctionConstructor;

/** Node's own `process`. The `process` of a test is a copy that gets no warning events. */
export const realProcess = NodeFunction('return process')() as NodeJS.Process;
