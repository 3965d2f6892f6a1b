/** Grafana's variables inside a query, replaced by their values: its back end does this, and none runs here. */

/** `$name` and `${name}`; longer names first, so that `$__interval_ms` is not taken for `$__interval`. */
export function interpolate(text: string, values: Record<string, string>): string {
  const names = Object.keys(values).sort((a, b) => b.length - a.length);
  return names.reduce(
    (result, name) => result.replaceAll("${" + name + "}", values[name]!).replaceAll("$" + name, values[name]!),
    text,
  );
}

/** The variables that every query has, for one step of a range. */
export function timeVariables(stepMs: number, rangeMs: number, scrapeIntervalS: number): Record<string, string> {
  const stepS = stepMs / 1000;
  const rangeS = Math.round(rangeMs / 1000);
  return {
    __interval: `${Math.max(1, Math.round(stepS))}s`,
    __interval_ms: `${stepMs}`,
    // Grafana's own rule: never fewer than four scrapes, however fine the step.
    __rate_interval: `${Math.ceil(Math.max(4 * scrapeIntervalS, stepS + scrapeIntervalS))}s`,
    __range: `${rangeS}s`,
    __range_s: `${rangeS}`,
  };
}

/** Several values of one variable, as a regular expression for `=~`. */
export function anyOf(values: string[]): string {
  const escaped = values.map((value) => value.replace(/[\\^$*+?.()|[\]{}]/g, "\\\\$&"));
  return escaped.length === 1 ? escaped[0]! : `(${escaped.join("|")})`;
}

/** `{{label}}` in a legend replaced by the label's value; without a format, the series as Prometheus writes it. */
export function legend(format: string | undefined, labels: Record<string, string>): string {
  if (format) return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name: string) => labels[name] ?? "");
  const { __name__: name = "", ...rest } = labels;
  return `${name}{${Object.entries(rest).map(([key, value]) => `${key}="${value}"`).join(", ")}}`;
}
