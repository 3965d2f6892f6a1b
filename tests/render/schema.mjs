// Validates generated dashboards against the JSON Schemas that Grafana's own TypeScript types come to.
// Usage: node schema.mjs FILE.json...; one line on stdout per violation, exit code 1 when there are any.
// The schemas are made anew each time, so that nothing of Grafana's has to lie in the repository.
import Ajv from "ajv";
import { createGenerator } from "ts-json-schema-generator";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const TYPES = fileURLToPath(new URL("node_modules/@grafana/schema/dist/types/raw", import.meta.url));
const ajv = new Ajv({ allErrors: true, strict: false });

function schemaOf(path, type) {
  return createGenerator({ path, type, skipTypeCheck: true, additionalProperties: false }).createSchema(type);
}

function dashboardValidator() {
  const schema = schemaOf(`${TYPES}/dashboard/x/types.gen.d.ts`, "Dashboard");
  const { AnnotationQuery, VariableModel } = schema.definitions;
  // What Grafana reads and writes itself, and its types do not say: its Prometheus plugin's annotations keep their
  // formats beside the target, which is a query of that plugin's; and a query variable keeps its text twice.
  for (const key of ["titleFormat", "textFormat", "tagKeys"]) AnnotationQuery.properties[key] = { type: "string" };
  AnnotationQuery.properties.target = { type: "object", required: ["expr", "refId"] };
  VariableModel.properties.definition = { type: "string" };
  return ajv.compile(schema);
}

/** Of a panel type's options, or of its own field options; null where Grafana has no such type. */
function panelValidator(panelType, typeName) {
  const path = `${TYPES}/composable/${panelType}/panelcfg/x/types.gen.d.ts`;
  if (!existsSync(path)) throw new Error(`Grafana has no panel of type ${panelType}`);
  try {
    return ajv.compile(partial(schemaOf(path, typeName)));
  } catch (error) {
    if (/No root type/.test(error.message)) return null;
    throw error;
  }
}

/** Everything optional: what a file leaves out, Grafana fills in. */
function partial(node) {
  if (Array.isArray(node)) return node.map(partial);
  if (typeof node !== "object" || node === null) return node;
  const { required: _, ...rest } = node;
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, partial(value)]));
}

const known = new Map();
const cached = (key, make) => (known.has(key) || known.set(key, make()), known.get(key));

function* violations(dashboard) {
  const check = function* (validate, value, where) {
    if (!validate || value === undefined || validate(value)) return;
    for (const { instancePath, message, params } of validate.errors) {
      yield `${where}${instancePath} ${message} ${JSON.stringify(params)}`;
    }
  };
  yield* check(cached("dashboard", dashboardValidator), dashboard, "");
  for (const { type, title, options, fieldConfig } of dashboard.panels.filter((panel) => panel.type !== "row")) {
    const of = (typeName) => cached(`${type} ${typeName}`, () => panelValidator(type, typeName));
    yield* check(of("Options"), options, `panel ${title}: options`);
    yield* check(of("FieldConfig"), fieldConfig?.defaults?.custom, `panel ${title}: custom`);
  }
}

for (const file of process.argv.slice(2)) {
  for (const violation of violations(JSON.parse(await readFile(file, "utf8")))) {
    console.log(`${file}: ${violation}`);
    process.exitCode = 1;
  }
}
