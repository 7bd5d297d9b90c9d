/** Of everything random in this process. `SEED=…` repeats a run; titles of tests name it. */
export const SEED: number = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
