/** What was drawn, read back off the page: for whoever judges it. Nothing here knows what should be there. */

import { FieldType } from "@grafana/data";
import { sceneGraph, type VizPanel } from "@grafana/scenes";
import { textOn } from "./canvas_text";
import type { ClassicPanel } from "./plan";
import { regionsOf } from "./region_pixels";
import type { Drawing } from "./scene";

export interface Text {
  text: string;
  /** Inside its panel, wholly: not cut off at an edge, by an ellipsis, or by a parent that hides the rest. */
  whole: boolean;
}

export interface PanelFacts {
  id: number;
  state: string;
  errors: string[];
  title: string | null;
  frames: { refId: string; name: string; points: number; last: number | null }[];
  /** Text on canvases: the axes of charts. */
  axes: Text[];
  /** Rows of the legend, each a list of cells. */
  legend: string[][];
  /** Single figures with the names of their series. */
  figures: { name: string; text: string }[];
  /** All other text, title included. */
  words: Text[];
  saysNoValue: boolean;
  errorBoxes: string[];
  /** Unix milliseconds between which the fault's colour is on the chart; null: there is no chart. */
  regions: [number, number][] | null;
  /** Of the content that is higher than its place, so that a person would have to scroll, the pixels that do not show. */
  hiddenPx: number;
  /** Of the panel on the page, below its title, in pixels. */
  box: { x: number; y: number; width: number; height: number };
}

export function factsOf(drawing: Drawing): PanelFacts[] {
  return [...drawing.panels].map(([panel, viz]) => panelFacts(panel, viz));
}

/** Whether a panel has its answer and whatever it makes of it. */
export function isDrawn(viz: VizPanel): boolean {
  const element = elementOf(viz);
  const state = sceneGraph.getData(viz).state.data?.state;
  if (!element || (viz.state.$data && state !== "Done" && state !== "Error")) return false;
  if (viz.state.pluginId !== "timeseries" || element.querySelector("[data-testid='no-value']")) return true;
  // A chart has an axis with text on it; the sparkline of a single figure has none.
  return [...element.querySelectorAll("canvas")].some((canvas) => textOn(canvas).length > 0);
}

function elementOf(viz: VizPanel): HTMLElement | null {
  return document.querySelector(`[data-viz-panel-key="${viz.state.key}"]`);
}

function panelFacts(panel: ClassicPanel, viz: VizPanel): PanelFacts {
  const data = sceneGraph.getData(viz).state.data;
  const element = elementOf(viz)!;
  return {
    id: panel.id,
    state: viz.state.$data ? (data?.state ?? "none") : "Done",
    errors: (data?.errors ?? []).map((error) => error.message ?? "unknown error"),
    title: element.querySelector("h2")?.textContent ?? null,
    frames: (data?.series ?? []).map((frame) => {
      const values = frame.fields.find((field) => field.type === FieldType.number)?.values ?? [];
      const known = values.filter((value) => Number.isFinite(value));
      return { refId: frame.refId ?? "", name: frame.name ?? "", points: known.length, last: known.at(-1) ?? null };
    }),
    axes: axesOf(element),
    legend: legendOf(element),
    figures: figuresOf(element),
    words: wordsOf(element),
    saysNoValue: element.querySelector("[data-testid='no-value']") !== null,
    errorBoxes: [...element.querySelectorAll("[role='alert'], [data-testid*='Panel status error']")].map(
      (box) => box.textContent || box.getAttribute("aria-label") || "error",
    ),
    regions: regionsOf(panel.id),
    hiddenPx: hiddenPx(element),
    box: contentBox(element),
  };
}

function hiddenPx(element: HTMLElement): number {
  const scrolling = [...element.querySelectorAll<HTMLElement>("div")].filter((each) =>
    ["auto", "scroll"].includes(getComputedStyle(each).overflowY),
  );
  return Math.max(0, ...scrolling.map((each) => each.scrollHeight - each.clientHeight));
}

function contentBox(element: HTMLElement): PanelFacts["box"] {
  const panel = element.getBoundingClientRect();
  const titleBottom = element.querySelector("h2")?.getBoundingClientRect().bottom ?? panel.top;
  const y = Math.ceil(titleBottom + 8);
  // The frame is not content.
  return { x: Math.ceil(panel.left + 2), y, width: Math.floor(panel.width - 4), height: Math.floor(panel.bottom - y - 2) };
}

function axesOf(element: HTMLElement): Text[] {
  const panel = element.getBoundingClientRect();
  return [...element.querySelectorAll("canvas")].flatMap((canvas) => {
    const place = canvas.getBoundingClientRect();
    const right = Math.min(place.right, panel.right) - place.left;
    const bottom = Math.min(place.bottom, panel.bottom) - place.top;
    return textOn(canvas).map((each) => ({
      text: each.text,
      // Half a pixel of antialiasing is no clipping.
      whole: each.left >= -0.5 && each.right <= right + 0.5 && each.top >= -0.5 && each.bottom <= bottom + 0.5,
    }));
  });
}

function legendOf(element: HTMLElement): string[][] {
  const rows = [...element.querySelectorAll("tbody tr")];
  if (rows.length > 0) return rows.map((row) => [...row.children].map((cell) => cell.textContent?.trim() ?? ""));
  return [...element.querySelectorAll("[data-testid*='VizLegend series']")].map((item) => [item.textContent ?? ""]);
}

function figuresOf(element: HTMLElement): PanelFacts["figures"] {
  return [...element.querySelectorAll<HTMLElement>("[data-figure]")].map((figure) => ({
    name: figure.dataset.figure ?? "",
    // A bar has its name beside its value.
    text: (figure.querySelector("[data-testid*='Bar gauge value']") ?? figure).textContent ?? "",
  }));
}

function wordsOf(element: HTMLElement): Text[] {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const words: Text[] = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const text = node.textContent?.trim();
    if (text && node.parentElement && isForEyes(node.parentElement)) {
      words.push({ text, whole: isWhole(node, element) });
    }
  }
  return words;
}

/** Not a style sheet, nor the pixel-sized text for screen readers. */
function isForEyes(element: HTMLElement): boolean {
  return !element.closest("style, title") && element.getBoundingClientRect().width > 1;
}

/** Every ancestor that hides what overflows must show all of the text, the panel itself included. */
function isWhole(node: Node, panel: HTMLElement): boolean {
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = range.getBoundingClientRect();
  for (let parent = node.parentElement; parent; parent = parent === panel ? null : parent.parentElement) {
    // A font's box is taller than its letters: a quarter of it beyond an edge cuts nothing off.
    const slack = 1 + box.height / 4;
    const hides = parent === panel || getComputedStyle(parent).overflow !== "visible";
    const frame = parent.getBoundingClientRect();
    if (hides && (box.left < frame.left - 1 || box.right > frame.right + 1)) return false;
    if (hides && (box.top < frame.top - slack || box.bottom > frame.bottom + slack)) return false;
  }
  return true;
}
