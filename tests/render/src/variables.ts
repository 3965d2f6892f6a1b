/** The choices at the top of a dashboard, each at `All` unless the plan says otherwise. */

import { anyOf, interpolate } from "./interpolate";
import type { Plan, Variable } from "./plan";
import type { Prometheus } from "./prometheus";

/** By name, in the dashboard's order: a later variable's query may use an earlier one. */
export async function resolveVariables(plan: Plan, prometheus: Prometheus): Promise<Record<string, string>> {
  const resolved: Record<string, string> = {};
  for (const variable of plan.dashboard.templating.list) {
    if (variable.type === "datasource") continue; // the scene is told its data source directly
    resolved[variable.name] =
      plan.variables[variable.name] ?? variable.allValue ?? (await everyValue(variable, resolved, plan, prometheus));
  }
  return resolved;
}

async function everyValue(
  variable: Variable,
  known: Record<string, string>,
  plan: Plan,
  prometheus: Prometheus,
): Promise<string> {
  const query = typeof variable.query === "string" ? variable.query : variable.query.query;
  const parts = /^label_values\((.+),\s*(\w+)\)$/.exec(query);
  if (variable.type !== "query" || !parts) throw new Error(`variable ${variable.name}: only label_values(...) is understood`);
  const [, selector, label] = parts as unknown as [string, string, string];
  const rangeS = Math.ceil((plan.toMs - plan.fromMs) / 1000);
  const seen = `count by (${label}) (last_over_time(${interpolate(selector, known)}[${rangeS}s]))`;
  const values = (await prometheus.instant(seen, plan.toMs / 1000)).map((series) => series.metric[label] ?? "");
  if (values.length === 0) throw new Error(`variable ${variable.name}: nothing to choose from in ${query}`);
  return anyOf(values.sort());
}
