/** Paints fault windows behind the lines of a chart, and keeps each chart at hand for whoever reads it back. */

import { useLayoutEffect } from "react";
import type { GrafanaTheme2 } from "@grafana/data";
import type { UPlotConfigBuilder } from "@grafana/ui";
import type uPlot from "uplot";
import type { FaultWindow } from "./faults";

/** Room for half a time label: one that stands at the very end of the range is cut off without. */
const LAST_LABEL_PX = 32;
const REGION_ALPHA = 0.15;
export const STRIP_PX = 4;
/** A kill is over in an instant: a window narrower than this could not be seen. */
const NARROWEST_PX = 2;

const charts = new Map<number, uPlot>();

/** The chart of a panel; there is none before it was drawn. */
export function chartOf(panelId: number): uPlot | undefined {
  return charts.get(panelId);
}

interface Props {
  panelId: number;
  config: UPlotConfigBuilder;
  windows: FaultWindow[];
  theme: GrafanaTheme2;
}

export function FaultRegions({ panelId, config, windows, theme }: Props) {
  useLayoutEffect(() => {
    config.setPadding([null, LAST_LABEL_PX, null, null]);
    config.addHook("init", (chart) => charts.set(panelId, chart));
    config.addHook("drawClear", (chart) => windows.forEach((window) => paintBehind(chart, window, theme)));
    config.addHook("draw", (chart) => windows.forEach((window) => paintUnder(chart, window, theme)));
  }, [config, panelId, windows, theme]);
  return null;
}

function paintBehind(chart: uPlot, window: FaultWindow, theme: GrafanaTheme2): void {
  paint(chart, window, theme, REGION_ALPHA, chart.bbox.top, chart.bbox.height);
}

/** Under the plot, in full colour, as Grafana marks regions: no line can cover that. */
function paintUnder(chart: uPlot, window: FaultWindow, theme: GrafanaTheme2): void {
  paint(chart, window, theme, 1, chart.bbox.top + chart.bbox.height, STRIP_PX);
}

function paint(
  chart: uPlot, window: FaultWindow, theme: GrafanaTheme2, alpha: number, top: number, height: number,
): void {
  const { ctx, bbox } = chart;
  const from = Math.max(bbox.left, chart.valToPos(window.fromMs, "x", true));
  const to = Math.min(bbox.left + bbox.width, chart.valToPos(window.toMs, "x", true));
  if (to < bbox.left || from > bbox.left + bbox.width) return;
  ctx.save();
  ctx.fillStyle = theme.visualization.getColorByName(window.colour);
  ctx.globalAlpha = alpha;
  ctx.fillRect(Math.round(from), top, Math.max(NARROWEST_PX, Math.round(to) - Math.round(from)), height);
  ctx.restore();
}
