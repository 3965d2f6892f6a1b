/** Fault windows as a dashboard's annotation queries find them. Grafana does this in its Prometheus plugin. */

import { interpolate, legend, timeVariables } from "./interpolate";
import type { AnnotationQuery, Plan } from "./plan";
import type { Prometheus, Series } from "./prometheus";

export interface FaultWindow {
  fromMs: number;
  toMs: number;
  title: string;
  /** A colour's name in Grafana's palette. */
  colour: string;
}

export async function faultWindows(
  plan: Plan,
  prometheus: Prometheus,
  variables: Record<string, string>,
): Promise<FaultWindow[]> {
  const enabled = plan.dashboard.annotations.list.filter((query) => query.enable);
  const found = await Promise.all(enabled.map((query) => windowsOf(query, plan, prometheus, variables)));
  return found.flat();
}

async function windowsOf(
  query: AnnotationQuery,
  plan: Plan,
  prometheus: Prometheus,
  variables: Record<string, string>,
): Promise<FaultWindow[]> {
  // Without a step of its own Grafana asks every minute; the dashboards say theirs.
  const stepS = query.target.interval ? Number.parseFloat(query.target.interval) : 60;
  const values = { ...variables, ...timeVariables(stepS * 1000, plan.toMs - plan.fromMs, plan.scrapeIntervalS) };
  const series = await prometheus.range(
    interpolate(query.target.expr, values), plan.fromMs / 1000, plan.toMs / 1000, stepS,
  );
  return series.flatMap((each) => merged(each, stepS).map(([startS, endS]) => ({
    fromMs: startS * 1000,
    toMs: endS * 1000,
    title: legend(query.titleFormat ?? query.name, each.metric),
    colour: query.iconColor,
  })));
}

/** Neighbouring samples above 0 are one window, in seconds. */
function merged({ points }: Series, stepS: number): [number, number][] {
  const windows: [number, number][] = [];
  for (const [atS, value] of points) {
    if (!(value > 0)) continue;
    const last = windows.at(-1);
    if (last && atS - last[1] <= stepS * 1.5) last[1] = atS;
    else windows.push([atS, atS]);
  }
  return windows;
}
