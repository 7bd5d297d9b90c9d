/** The seed of all random choices in this process. `SEED=…` repeats a run. Titles of tests contain the seed. */
export const SEED: number = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
