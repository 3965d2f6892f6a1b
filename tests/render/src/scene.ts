/** Classic dashboard JSON as a scene of `@grafana/scenes`. Grafana's own converter is part of its application. */

import { toUtc, type FieldConfigSource } from "@grafana/data";
import {
  EmbeddedScene, SceneGridItem, SceneGridLayout, SceneGridRow, SceneQueryRunner, SceneTimeRange, VizPanel,
} from "@grafana/scenes";
import { SOURCE } from "./datasource";
import type { ClassicPanel, Plan } from "./plan";

export interface Drawing {
  scene: EmbeddedScene;
  /** Every panel with something inside, rows left out. */
  panels: Map<ClassicPanel, VizPanel>;
}

export function toScene(plan: Plan): Drawing {
  const panels = new Map<ClassicPanel, VizPanel>();
  const children: (SceneGridItem | SceneGridRow)[] = [];
  let row: SceneGridRow | undefined;
  for (const panel of plan.dashboard.panels) {
    const place = { x: panel.gridPos.x, y: panel.gridPos.y, width: panel.gridPos.w, height: panel.gridPos.h };
    if (panel.type === "row") {
      row = new SceneGridRow({ ...place, title: panel.title, isCollapsed: false, isCollapsible: false, children: [] });
      children.push(row);
      continue;
    }
    const viz = toPanel(panel);
    panels.set(panel, viz);
    const item = new SceneGridItem({ ...place, body: viz });
    if (row) row.setState({ children: [...row.state.children, item] });
    else children.push(item);
  }
  const scene = new EmbeddedScene({
    $timeRange: new SceneTimeRange({
      from: toUtc(plan.fromMs).toISOString(), to: toUtc(plan.toMs).toISOString(), timeZone: "utc",
    }),
    body: new SceneGridLayout({ isDraggable: false, isResizable: false, isLazy: false, children }),
  });
  return { scene, panels };
}

function toPanel(panel: ClassicPanel): VizPanel {
  return new VizPanel({
    key: `panel-${panel.id}`,
    pluginId: panel.type,
    title: panel.title,
    description: panel.description,
    options: panel.options ?? {},
    fieldConfig: (panel.fieldConfig ?? { defaults: {}, overrides: [] }) as FieldConfigSource,
    $data: panel.targets && new SceneQueryRunner({
      datasource: SOURCE,
      queries: panel.targets.map((target) => ({ ...target, datasource: SOURCE })),
      minInterval: panel.interval,
    }),
  });
}
