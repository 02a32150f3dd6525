import { builtinModules } from 'node:module';
import { defineConfig, type Plugin } from 'rolldown';

export default defineConfig({
  input: 'src/cli/main.ts',
  platform: 'node',
  // The SDK's CommonJS entry cannot be tree-shaken: its ES modules cut the bundle and its start time to a third.
  resolve: { mainFields: ['module', 'main'] },
  plugins: [lazyBuiltins(), withoutTransports()],
  // A command pays only for the modules it runs: wrappers that V8 compiles in advance are for bundles that run whole.
  optimization: { pifeForModuleWrappers: false },
  output: {
    file: 'dist/docker-volume-ebs.mjs',
    format: 'esm',
    codeSplitting: false,
    sourcemap: true,
    // Source text counts as memory for as long as the daemon runs. Names stay, for stack traces.
    minify: { compress: { keepNames: { function: true, class: true } }, mangle: { keepNames: true }, codegen: true },
  },
});

/**
 * Node's own modules, each loaded by the first module that runs and needs it. An import statement would load all of them
 * for every command, and node:http with everything it exports, which is also Node's fetch and HTTP/2: 16 MB (measured, Node 26.10).
 */
function lazyBuiltins(): Plugin {
  const imported = '\0node:';
  const required = '\0require:';
  /** Reading these loads fetch; nothing here imports them. */
  const heavy = new Set(['WebSocket', 'CloseEvent', 'MessageEvent']);
  const namesOf = (name: string) => {
    const names = Object.keys(process.getBuiltinModule(name) ?? {});
    return names.filter((each) => each !== 'default' && !heavy.has(each));
  };
  return {
    name: 'lazy-builtins',
    resolveId: {
      order: 'pre',
      handler(id, _importer, { kind }) {
        const name = id.replace(/^node:/, '');
        if (!builtinModules.includes(name)) return null;
        if (kind !== 'require-call') return { id: `${imported}${name}`, moduleSideEffects: false };
        // Fastify requires HTTP/2 at once, for an option that is not used here.
        return name === 'http2' ? `${required}${name}` : null;
      },
    },
    load(id) {
      if (id.startsWith(imported)) return exportsOf(id.slice(imported.length), namesOf);
      return id.startsWith(required) ? lazyExportsOf(id.slice(required.length), namesOf) : null;
    },
  };
}

function exportsOf(name: string, namesOf: (name: string) => readonly string[]): string {
  return [
    `const builtin = process.getBuiltinModule(${JSON.stringify(name)});`,
    'export default builtin;',
    // A property may be a getter: only one that is used is read.
    ...namesOf(name).map(
      (each, n) => `const e${n} = /* @__PURE__ */ (() => builtin.${each})(); export { e${n} as ${each} };`,
    ),
  ].join('\n');
}

function lazyExportsOf(name: string, namesOf: (name: string) => readonly string[]): string {
  const get = `(key) => ({ enumerable: true, get: () => process.getBuiltinModule(${JSON.stringify(name)})[key] })`;
  const entries = `${JSON.stringify(namesOf(name))}.map((key) => [key, (${get})(key)])`;
  return `Object.defineProperties(exports, Object.fromEntries(${entries}));`;
}

/** pino loads what its transports need, worker threads among it; they cannot be bundled (pino docs/bundling.md). */
function withoutTransports(): Plugin {
  const stub = '\0thread-stream';
  return {
    name: 'without-transports',
    resolveId: (id) => (id === 'thread-stream' ? stub : null),
    load: (id) =>
      id === stub
        ? 'module.exports = class { constructor() { throw new Error("pino transports are not bundled"); } };'
        : null,
  };
}
