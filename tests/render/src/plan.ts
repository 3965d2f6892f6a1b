/** What `draw.mjs` tells the page to draw: one dashboard over one stretch of one Prometheus. */

export interface Plan {
  /** Classic JSON, as generated. */
  dashboard: ClassicDashboard;
  fromMs: number;
  toMs: number;
  /** What Grafana's data source would be told as `timeInterval`. */
  scrapeIntervalS: number;
  /** Values of dashboard variables that are not to be looked up. */
  variables: Record<string, string>;
  /** Words over the dashboard, such as where its figures come from. */
  note: string | null;
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  interval?: string;
}

export interface ClassicPanel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  /** The finest step, such as `5s`. */
  interval?: string;
  options?: Record<string, unknown>;
  fieldConfig?: { defaults: Record<string, unknown>; overrides: unknown[] };
}

export interface Variable {
  name: string;
  label?: string;
  type: string;
  query: string | { query: string };
  allValue?: string;
}

export interface AnnotationQuery {
  name: string;
  enable: boolean;
  iconColor: string;
  titleFormat?: string;
  target: Target;
}

export interface ClassicDashboard {
  title: string;
  panels: ClassicPanel[];
  templating: { list: Variable[] };
  annotations: { list: AnnotationQuery[] };
}

declare global {
  interface Window {
    plan: Plan;
    /** Facts of everything that was drawn, once it has been; the promise fails when it cannot be. */
    drawn: Promise<unknown>;
    /** Shares of a picture's boxes that are not background. */
    inkOf: typeof import("./ink").inkOf;
  }
}
