// class-validator publishes the types of its main file alone.
declare module 'class-validator/cjs/*' {
  export * from 'class-validator';
}
