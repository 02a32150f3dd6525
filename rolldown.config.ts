import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';

export default defineConfig({
  input: 'src/cli/main.ts',
  platform: 'node',
  // The SDK's CommonJS entry cannot be tree-shaken: its ES modules cut the bundle and its start time to a third.
  resolve: { mainFields: ['module', 'main'] },
  plugins: [lazyBuiltins(), withoutUnused(), withTexts()],
  // A command pays only for the modules it runs: wrappers that V8 compiles in advance are for bundles that run whole.
  optimization: { pifeForModuleWrappers: false },
  output: {
    file: 'dist/docker-volume-ebs.mjs',
    format: 'esm',
    codeSplitting: false,
    sourcemap: true,
    // V8 keeps the text in one byte a character, not two, when all of it is ASCII.
    charset: 'ascii',
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
  /** Fastify requires them at once, for options that are not used here. The SDK needs TLS, but only once the socket answers. */
  const unusedByFastify = new Set(['http2', 'https']);
  const namesOf = (name: string) => {
    const names = Object.keys(process.getBuiltinModule(`node:${name}`) ?? {});
    return names.filter((each) => each !== 'default' && !heavy.has(each));
  };
  return {
    name: 'lazy-builtins',
    resolveId: {
      order: 'pre',
      handler(id, _importer, { kind }) {
        if (!isBuiltin(id)) return null;
        const name = id.replace(/^node:/, '');
        if (kind !== 'require-call') return { id: `${imported}${name}`, moduleSideEffects: false };
        return unusedByFastify.has(name) ? `${required}${name}` : null;
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
    `const builtin = process.getBuiltinModule(${JSON.stringify(`node:${name}`)});`,
    'export default builtin;',
    // A property may be a getter: only one that is used is read.
    ...namesOf(name).map(
      (each, n) => `const e${n} = /* @__PURE__ */ (() => builtin.${each})(); export { e${n} as ${each} };`,
    ),
  ].join('\n');
}

function lazyExportsOf(name: string, namesOf: (name: string) => readonly string[]): string {
  const get = `(key) => ({ enumerable: true, get: () => process.getBuiltinModule(${JSON.stringify(`node:${name}`)})[key] })`;
  const entries = `${JSON.stringify(namesOf(name))}.map((key) => [key, (${get})(key)])`;
  return `Object.defineProperties(exports, Object.fromEntries(${entries}));`;
}

/** Files that a module reads from beside itself are texts in the bundle, which has nothing beside it. */
function withTexts(): Plugin {
  const reading = /readFileSync\(new URL\('(\.\/[^']+)', import\.meta\.url\), 'utf8'\)/g;
  return {
    name: 'with-texts',
    transform(code, id) {
      if (!reading.test(code)) return null;
      return code.replaceAll(reading, (_, file: string) =>
        JSON.stringify(readFileSync(join(dirname(id), file), 'utf8')),
      );
    },
  };
}

/** Packages that are required by what is used here, but never called: each throws when it is. */
function withoutUnused(): Plugin {
  const stub = '\0unused:';
  const unused: Readonly<Record<string, string>> = {
    // pino's transports run in worker threads, which cannot be bundled (pino docs/bundling.md).
    'thread-stream': 'pino transports',
    // Bodies are checked by src/dvdi/body.ts.
    '@fastify/ajv-compiler': 'ajv',
    '@fastify/fast-json-stringify-compiler': 'fast-json-stringify',
    // For tests within a process.
    'light-my-request': 'inject()',
    // For plugins that say which Fastify they need, and for proxies before a server.
    semver: 'a plugin of Fastify with a version',
    '@fastify/proxy-addr': 'trustProxy',
    // Of prom-client, the default metrics and the summaries.
    '@opentelemetry/api': 'collectDefaultMetrics()',
    tdigest: 'Summary',
  };
  return {
    name: 'without-unused',
    resolveId: (id) => (id === 'safe-regex2' || Object.hasOwn(unused, id) ? `${stub}${id}` : null),
    load(id) {
      if (!id.startsWith(stub)) return null;
      // The router asks about its own expressions; no route of ours brings another.
      if (id === `${stub}safe-regex2`) return 'module.exports = () => true;';
      const what = unused[id.slice(stub.length)];
      return `module.exports = class { constructor() { throw new Error(${JSON.stringify(`${what} is not bundled`)}); } };`;
    },
  };
}
