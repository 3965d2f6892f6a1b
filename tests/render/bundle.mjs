// Bundles the page into build/page.js.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: [here("src/page.tsx")],
  outfile: here("build/page.js"),
  bundle: true,
  minify: true,
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  loader: { ".svg": "dataurl", ".woff2": "dataurl" },
  alias: {
    // An editor that no drawing needs, and that brings workers of its own.
    "monaco-editor": here("src/stubs/empty.ts"),
    // Scenes wants routing's version 5 spelling of version 6; nothing here navigates.
    "react-router-dom-v5-compat": "react-router-dom",
  },
  logLevel: "warning",
});
