/** Products of factories that were created for one connection. */
const handedOver = new WeakSet<object>();

/**
 * Makes a connection the owner of what a factory has created for it: the connection disposes of the product at its end,
 * after everything that injects it. Without this, the product stays with its factory, because connections may share it.
 * Outside a connection, for example in an HTTP request, nothing is disposed of.
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

/** Whether {@link disposeWithConnection} was called for the product. */
export function isHandedOver(product: object): boolean {
  return handedOver.has(product);
}

/** Name of the method that disposes of a value; `undefined` where it has none. */
export function disposeMethodOf(value: unknown): PropertyKey | undefined {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function')
    return undefined;
  const disposable = value as Partial<Record<PropertyKey, unknown>>;
  // Separate checks instead of a loop: V8 caches each lookup per kind of instance.
  if (typeof disposable[Symbol.asyncDispose] === 'function') return Symbol.asyncDispose;
  if (typeof disposable[Symbol.dispose] === 'function') return Symbol.dispose;
  return typeof disposable['onModuleDestroy'] === 'function' ? 'onModuleDestroy' : undefined;
}
