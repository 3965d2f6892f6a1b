/** The page: draws the plan's dashboard, and resolves `window.drawn` with the facts of it. */

import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { MemoryRouter } from "react-router-dom";
import { ThemeContext, dateTimeFormat } from "@grafana/data";
import { config } from "@grafana/runtime";
import { sceneUtils } from "@grafana/scenes";
import { GlobalStyles } from "@grafana/ui";
import { rememberCanvasText } from "./canvas_text";
import { PrometheusSource } from "./datasource";
import { factsOf, isDrawn } from "./facts";
import { faultWindows } from "./faults";
import { barGaugePanel, statPanel } from "./panels/single";
import { textPanel } from "./panels/text";
import { timeSeriesPanel } from "./panels/timeseries";
import { inkOf } from "./ink";
import type { Plan } from "./plan";
import { Prometheus } from "./prometheus";
import { startRuntime } from "./runtime";
import { toScene, type Drawing } from "./scene";
import { resolveVariables } from "./variables";

/** Every panel drawn, and nothing changed for so many frames in a row. */
const STEADY_FRAMES = 10;

async function draw(plan: Plan) {
  rememberCanvasText();
  startRuntime();
  const prometheus = new Prometheus();
  const variables = await resolveVariables(plan, prometheus);
  const windows = await faultWindows(plan, prometheus, variables);
  sceneUtils.registerRuntimeDataSource({ dataSource: new PrometheusSource(prometheus, plan, variables) });
  const plugins = { timeseries: timeSeriesPanel(windows), stat: statPanel(), bargauge: barGaugePanel(), text: textPanel() };
  for (const [pluginId, plugin] of Object.entries(plugins)) {
    plugin.meta = { ...plugin.meta, id: pluginId, name: pluginId };
    sceneUtils.registerRuntimePanelPlugin({ pluginId, plugin: plugin as never });
  }
  const drawing = toScene(plan);
  createRoot(document.getElementById("root")!).render(<Page plan={plan} drawing={drawing} variables={variables} />);
  await steady(drawing);
  return { panels: factsOf(drawing), windows, variables };
}

function Page({ plan, drawing, variables }: { plan: Plan; drawing: Drawing; variables: Record<string, string> }) {
  const labels = plan.dashboard.templating.list.filter(({ name }) => name in variables);
  const time = (ms: number) => dateTimeFormat(ms, { timeZone: "utc", format: "YYYY-MM-DD HH:mm:ss" });
  return (
    <ThemeContext.Provider value={config.theme2}>
      <GlobalStyles />
      <MemoryRouter>
        <main style={{ padding: 16, background: config.theme2.colors.background.canvas }}>
          <header style={{ display: "flex", gap: 24, alignItems: "baseline", marginBottom: 12 }}>
            <h1 style={{ fontSize: 24, margin: 0 }}>{plan.dashboard.title}</h1>
            {labels.map(({ name, label }) => (
              <span key={name}>{label ?? name}: <b>{plan.variables[name] ?? "All"}</b></span>
            ))}
            <span style={{ marginLeft: "auto" }}>{time(plan.fromMs)} to {time(plan.toMs)} UTC</span>
          </header>
          {plan.note && (
            <p style={{ padding: "8px 12px", background: config.theme2.colors.warning.transparent, fontSize: 16 }}>{plan.note}</p>
          )}
          {createElement(drawing.scene.Component, { model: drawing.scene })}
        </main>
      </MemoryRouter>
    </ThemeContext.Provider>
  );
}

async function steady(drawing: Drawing): Promise<void> {
  const frame = () => new Promise(requestAnimationFrame);
  for (let same = 0, before = ""; same < STEADY_FRAMES; await frame()) {
    const ready = [...drawing.panels.values()].every(isDrawn);
    const now = ready ? document.body.innerHTML : "";
    same = ready && now === before ? same + 1 : 0;
    before = now;
  }
}

window.drawn = draw(window.plan);
window.inkOf = inkOf;
