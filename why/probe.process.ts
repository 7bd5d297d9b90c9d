// One probe on one side. Says what it found, if it lives to.
import { probes, type ProbeName } from './probes/index.js';
import type { Side } from './probe.js';

const [name, side] = process.argv.slice(2) as [ProbeName, Side];
const finding = await probes[name].run(side);
process.send!(finding, () => process.exit());
