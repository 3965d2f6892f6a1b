/** A Grafana data source over Prometheus' HTTP API. Our own: Grafana's is AGPL, and this needs a page of code. */

import { FieldType, LoadingState, type DataFrame, type DataQueryRequest, type DataQueryResponse } from "@grafana/data";
import { RuntimeDataSource } from "@grafana/scenes";
import { interpolate, legend, timeVariables } from "./interpolate";
import type { Plan, Target } from "./plan";
import type { Prometheus, Series } from "./prometheus";

export const SOURCE = { type: "prometheus", uid: "prometheus-over-http" };

export class PrometheusSource extends RuntimeDataSource {
  constructor(
    private readonly prometheus: Prometheus,
    private readonly plan: Plan,
    private readonly choices: Record<string, string>,
  ) {
    super(SOURCE.type, SOURCE.uid);
    this.interval = `${plan.scrapeIntervalS}s`; // no panel asks for a finer step
  }

  async query(request: DataQueryRequest): Promise<DataQueryResponse> {
    const frames = await Promise.all(request.targets.map((target) => this.frames(target as Target, request.intervalMs)));
    return { data: frames.flat(), state: LoadingState.Done };
  }

  private async frames(target: Target, stepMs: number): Promise<DataFrame[]> {
    const { fromMs, toMs, scrapeIntervalS } = this.plan;
    const values = { ...this.choices, ...timeVariables(stepMs, toMs - fromMs, scrapeIntervalS) };
    const query = interpolate(target.expr, values);
    const found = await this.prometheus.range(query, fromMs / 1000, toMs / 1000, stepMs / 1000);
    return found.map((series) => frame(series, target, stepMs));
  }
}

function frame(series: Series, target: Target, stepMs: number): DataFrame {
  const name = legend(target.legendFormat, series.metric);
  return {
    refId: target.refId,
    name,
    length: series.points.length,
    fields: [
      {
        name: "Time",
        type: FieldType.time,
        config: { interval: stepMs }, // a gap longer than this is drawn as one
        values: series.points.map(([atS]) => Math.round(atS * 1000)),
      },
      {
        name: "Value",
        type: FieldType.number,
        labels: series.metric,
        config: { displayNameFromDS: name },
        values: series.points.map(([, value]) => value),
      },
    ],
  };
}
