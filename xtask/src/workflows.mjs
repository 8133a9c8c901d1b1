// Lints the workflows of the forge: node workflows.mjs ACTIONLINT. Each failure prints one line; the exit code is then 1.
import { readFile, readdir } from "node:fs/promises";
import { resolve } from "node:path";

const folder = ".github/workflows";
// The linter is older than this permission, without which nothing can be attested.
const unknown = 'unknown permission scope "attestations"';

const { createLinter } = await import(resolve(process.argv[2]));
const lint = await createLinter();
const names = await readdir(folder);
let failures = 0;
for (const name of names) {
  const path = `${folder}/${name}`;
  for (const { line, column, message } of lint(await readFile(path, "utf8"), path)) {
    if (message.startsWith(unknown)) continue;
    console.error(`${path}:${line}:${column}: ${message}`);
    failures += 1;
  }
}
console.log(`${names.length} workflows linted, ${failures} failures`);
// The linter's program waits for calls for ever.
process.exit(failures ? 1 : 0);
