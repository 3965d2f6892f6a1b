/** What Grafana's application gives its packages when it starts, as far as drawing needs it. */

import {
  EventBusSrv, FieldConfigProperty, LoadingState, createTheme, identityOverrideProcessor,
  standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformersRegistry,
  type DataQueryRequest, type DataSourceApi, type FieldConfigPropertyItem, type PanelData,
} from "@grafana/data";
import { config, setAppEvents, setPluginImportUtils, setRunRequest } from "@grafana/runtime";
import { from, map, of, catchError, startWith, type Observable } from "rxjs";

/** Options that every panel may have; a key without an entry here is discarded before anything is drawn. */
const STANDARD = [
  "unit", "min", "max", "decimals", "displayName", "noValue", "color", "thresholds", "mappings", "links",
] as const;

export function startRuntime(): void {
  config.theme2 = createTheme({ colors: { mode: "light" } });
  config.bootData = { user: { locale: "en-GB", orgRole: "" }, settings: {}, navTree: [] } as never;
  setAppEvents(new EventBusSrv());
  setRunRequest(runRequest);
  setPluginImportUtils({
    importPanelPlugin: (id) => Promise.reject(new Error(`no panel of type ${id} can be drawn`)),
    getPanelPluginFromCache: () => undefined,
  });
  standardEditorsRegistry.setInit(() => []);
  standardTransformersRegistry.setInit(() => []);
  standardFieldConfigEditorRegistry.setInit(() => STANDARD.map(standardOption));
}

function standardOption(id: string): FieldConfigPropertyItem {
  return {
    id,
    path: id,
    name: id,
    isCustom: false,
    process: identityOverrideProcessor,
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
    defaultValue: id === FieldConfigProperty.Mappings ? [] : undefined,
  } as unknown as FieldConfigPropertyItem;
}

function runRequest(source: DataSourceApi, request: DataQueryRequest): Observable<PanelData> {
  const blank = { series: [], timeRange: request.range, request };
  return from(source.query(request)).pipe(
    map((answer) => ({ ...blank, series: answer.data, state: answer.state ?? LoadingState.Done })),
    catchError((error: Error) =>
      of({ ...blank, state: LoadingState.Error, errors: [{ message: error.message }] })),
    startWith({ ...blank, state: LoadingState.Loading }),
  );
}
