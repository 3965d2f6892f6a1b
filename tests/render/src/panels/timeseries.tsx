/** Time series: Grafana's panel is part of its application, the chart inside it is in `@grafana/ui`. */

import { FieldColorModeId, PanelPlugin, identityOverrideProcessor, type PanelProps } from "@grafana/data";
import { GraphGradientMode, LegendDisplayMode, LineInterpolation, StackingMode, VisibilityMode, GraphDrawStyle, type VizLegendOptions } from "@grafana/schema";
import { TimeSeries, useTheme2 } from "@grafana/ui";
import type { FaultWindow } from "../faults";
import { FaultRegions } from "../regions";
import { NoValue } from "./no_value";

interface Options {
  legend: VizLegendOptions;
}

/** The chart's own options with Grafana's defaults; a key that is not here never reaches the chart. */
const CUSTOM = {
  drawStyle: GraphDrawStyle.Line,
  lineInterpolation: LineInterpolation.Linear,
  lineWidth: 1,
  fillOpacity: 0,
  gradientMode: GraphGradientMode.None,
  pointSize: 5,
  showPoints: VisibilityMode.Auto,
  spanNulls: false,
  stacking: { mode: StackingMode.None, group: "A" },
  thresholdsStyle: { mode: "off" },
  axisPlacement: "auto",
  axisSoftMin: undefined,
  axisSoftMax: undefined,
  axisLabel: undefined,
  lineStyle: undefined,
};

export function timeSeriesPanel(windows: FaultWindow[]): PanelPlugin<Options> {
  function TimeSeriesPanel({ id, data, width, height, timeRange, timeZone, options, fieldConfig }: PanelProps<Options>) {
    const theme = useTheme2();
    if (data.series.length === 0) return <NoValue text={fieldConfig.defaults.noValue} />;
    return (
      <TimeSeries
        frames={data.series}
        structureRev={data.structureRev}
        timeRange={timeRange}
        timeZone={timeZone}
        width={width}
        height={height}
        legend={options.legend ?? { showLegend: true, displayMode: LegendDisplayMode.List, placement: "bottom", calcs: [] }}
        options={options as never}
      >
        {(config) => <FaultRegions panelId={id} config={config} windows={windows} theme={theme} />}
      </TimeSeries>
    );
  }

  return new PanelPlugin<Options>(TimeSeriesPanel).useFieldConfig({
    standardOptions: { color: { defaultValue: { mode: FieldColorModeId.PaletteClassic } } } as never,
    useCustomConfig: (builder) => {
      for (const [path, defaultValue] of Object.entries(CUSTOM)) {
        builder.addCustomEditor({
          id: path, path, name: path, defaultValue,
          editor: () => null, override: () => null, process: identityOverrideProcessor, shouldApply: () => true,
        } as never);
      }
    },
  });
}

