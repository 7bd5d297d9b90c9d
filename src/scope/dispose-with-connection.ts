/** Products of factories that were made for one connection. */
const handedOver = new WeakSet<object>();

/**
 * Hands what a factory has made for one connection over to that connection, which disposes of it at its end, after
 * everything that injects it. Without this the product of a factory is the factory's: it may be a client that
 * connections share. Outside of a connection, for example in an HTTP request, nothing is disposed of.
 *
 * @example
 * ```ts
 * { provide: Session, scope: Scope.REQUEST, inject: [Pool],
 *   useFactory: async (pool: Pool) => disposeWithConnection(await pool.session()) }
 * ```
 * @param product has `[Symbol.asyncDispose]()`, `[Symbol.dispose]()` or `onModuleDestroy()`
 * @returns the product
 * @throws {TypeError} for anything else, for example a promise that was not awaited
 */
export function disposeWithConnection<Product extends object>(product: Product): Product {
  if (disposeMethodOf(product) === undefined) {
    throw new TypeError(
      'disposeWithConnection() expects an object with [Symbol.asyncDispose](), [Symbol.dispose]() or ' +
        'onModuleDestroy(). Await a promise first; for anything else register a function with manager.onDispose().',
    );
  }
  handedOver.add(product);
  return product;
}

/** Whether a factory has said that this belongs to one connection. */
export function isHandedOver(product: object): boolean {
  return handedOver.has(product);
}

/** Name of the method that disposes of something; `undefined` where there is none. */
export function disposeMethodOf(value: unknown): PropertyKey | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function')
    return undefined;
  const disposable = value as Partial<Record<PropertyKey, unknown>>;
  // One by one, and not from a list: that way V8 remembers where each kind of instance has its own.
  if (typeof disposable[Symbol.asyncDispose] === 'function') return Symbol.asyncDispose;
  if (typeof disposable[Symbol.dispose] === 'function') return Symbol.dispose;
  return typeof disposable['onModuleDestroy'] === 'function' ? 'onModuleDestroy' : undefined;
}
