/** Stat and bar gauge: one figure per series, reduced and formatted by `@grafana/data`, drawn by `@grafana/ui`. */

import { FieldColorModeId, PanelPlugin, VizOrientation, getFieldDisplayValues, type FieldDisplay, type GrafanaTheme2, type PanelProps } from "@grafana/data";
import { BarGaugeDisplayMode, BarGaugeNamePlacement, BarGaugeValueMode, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode } from "@grafana/schema";
import { BarGauge, BigValue, VizRepeater, useTheme2, type VizRepeaterRenderValueProps } from "@grafana/ui";
import { NoValue } from "./no_value";

interface Options {
  reduceOptions?: { calcs: string[] };
  graphMode?: BigValueGraphMode;
  textMode?: BigValueTextMode;
  orientation?: VizOrientation;
}

function SinglePanel(props: PanelProps<Options> & { bars: boolean }) {
  const { data, options, width, height, fieldConfig, replaceVariables, timeZone, renderCounter, bars } = props;
  const theme = useTheme2();
  if (data.series.length === 0) return <NoValue text={fieldConfig.defaults.noValue} />;
  const values = () => getFieldDisplayValues({
    fieldConfig,
    reduceOptions: { calcs: options.reduceOptions?.calcs ?? ["lastNotNull"] },
    replaceVariables,
    theme,
    data: data.series,
    sparkline: !bars && options.graphMode !== BigValueGraphMode.None,
    timeZone,
  });
  return (
    <VizRepeater<FieldDisplay>
      source={data}
      getValues={values}
      width={width}
      height={height}
      renderCounter={renderCounter}
      autoGrid={!bars}
      orientation={options.orientation ?? VizOrientation.Auto}
      itemSpacing={bars ? 10 : 3}
      minVizHeight={16}
      maxVizHeight={300}
      renderValue={(figure) => (
        <div data-figure={figure.value.display.title}>
          {bars ? bar(figure, theme) : tile(figure, theme, options.graphMode, options.textMode)}
        </div>
      )}
    />
  );
}

/** By so much the line of a bar's name is higher than the bar counts with: without it the last bar is cut off. */
const TITLE_EXCESS_PX = 5;

type Figure = VizRepeaterRenderValueProps<FieldDisplay>;

function bar({ value, width, height, orientation }: Figure, theme: GrafanaTheme2) {
  return (
    <BarGauge
      value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
      theme={theme} width={width} height={height - TITLE_EXCESS_PX} orientation={orientation} itemSpacing={10} lcdCellWidth={8}
      displayMode={BarGaugeDisplayMode.Gradient} valueDisplayMode={BarGaugeValueMode.Color}
      namePlacement={BarGaugeNamePlacement.Auto} showUnfilled
    />
  );
}

function tile({ value, width, height, count }: Figure, theme: GrafanaTheme2, graphMode = BigValueGraphMode.Area, textMode = BigValueTextMode.Auto) {
  return (
    <BigValue
      value={value.display} sparkline={value.sparkline} theme={theme} width={width} height={height} count={count}
      colorMode={BigValueColorMode.Value} graphMode={graphMode}
      justifyMode={BigValueJustifyMode.Auto} textMode={textMode}
    />
  );
}

function plugin(bars: boolean): PanelPlugin<Options> {
  return new PanelPlugin<Options>((props: PanelProps<Options>) => <SinglePanel {...props} bars={bars} />).useFieldConfig({
    standardOptions: { color: { defaultValue: { mode: FieldColorModeId.Thresholds } } } as never,
  });
}

export const statPanel = () => plugin(false);
export const barGaugePanel = () => plugin(true);
