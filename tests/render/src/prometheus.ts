/** Prometheus' HTTP API: the two kinds of questions that dashboards ask. `draw.mjs` passes them on to the server. */

export interface Series {
  metric: Record<string, string>;
  /** Unix seconds and the value, which is NaN or infinite where Prometheus says so. */
  points: [number, number][];
}

type Answer = { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] };

export class Prometheus {
  range(query: string, startS: number, endS: number, stepS: number): Promise<Series[]> {
    // Grafana asks at multiples of the step, so that a picture does not flicker from one refresh to the next.
    const [start, end] = [Math.floor(startS / stepS) * stepS, Math.floor(endS / stepS) * stepS];
    return this.ask("query_range", { query, start: `${start}`, end: `${end}`, step: `${stepS}` });
  }

  instant(query: string, atS: number): Promise<Series[]> {
    return this.ask("query", { query, time: `${atS}` });
  }

  private async ask(endpoint: string, fields: Record<string, string>): Promise<Series[]> {
    const response = await fetch(`/api/v1/${endpoint}`, {
      method: "POST", // queries may be longer than a URL may be
      body: new URLSearchParams(fields),
    });
    const answer = await response.json();
    if (answer.status !== "success") throw new Error(`Prometheus refused ${fields.query}: ${answer.error}`);
    return (answer.data.result as Answer[]).map(({ metric, value, values }) => ({
      metric,
      points: (values ?? [value!]).map(([atS, text]) => [atS, number(text)]),
    }));
  }
}

function number(text: string): number {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}
