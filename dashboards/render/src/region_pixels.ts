/** Where the colour of faults is on a chart, read off its pixels: what was painted, not what was meant to be. */

import { REGION_ALPHA, chartOf } from "./regions";

/** Rows that are looked at: lines and areas cover some of them, hardly ever all. */
const ROWS = 24;
const TOLERANCE = 6;

/** Unix milliseconds from the first to the last painted column of each region; null where there is no chart. */
export function regionsOf(panelId: number): [number, number][] | null {
  const chart = chartOf(panelId);
  if (!chart) return null;
  const { left, top, width, height } = chart.bbox;
  const pixels = chart.ctx.getImageData(left, top, width, height).data;
  const painted = Array.from({ length: width }, (_, x) =>
    Array.from({ length: ROWS }, (_, row) => Math.floor(((row + 0.5) * height) / ROWS)).some((y) =>
      isRegion(pixels, 4 * (y * width + x)),
    ),
  );
  const at = (x: number) => chart.posToVal(left + x, "x", true);
  return runs(painted).map(([from, to]) => [at(from), at(to)]);
}

/** Orange, as thin as regions are and areas under a line are not. */
function isRegion(pixels: Uint8ClampedArray, offset: number): boolean {
  const [red, green, blue, alpha] = pixels.subarray(offset, offset + 4);
  return Math.abs(alpha! - REGION_ALPHA) <= TOLERANCE && red! > green! + 40 && green! > blue! + 40;
}

/** First and last index + 1 of each run of `true`. */
function runs(flags: boolean[]): [number, number][] {
  const found: [number, number][] = [];
  flags.forEach((flag, x) => {
    if (!flag) return;
    const last = found.at(-1);
    if (last && last[1] === x) last[1] = x + 1;
    else found.push([x, x + 1]);
  });
  return found;
}
