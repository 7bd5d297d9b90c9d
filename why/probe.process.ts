// Runs a probe on one side and sends the finding to the parent, unless the process crashes first.
import { probes, type ProbeName } from './probes/index.js';
import type { Side } from './probe.js';

const [name, side] = process.argv.slice(2) as [ProbeName, Side];
const finding = await probes[name].run(side);
process.send!(finding, () => process.exit());
