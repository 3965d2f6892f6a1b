/** Where fault windows are on a chart, read off its pixels: what was painted, not what was meant to be. */

import { STRIP_PX, chartOf } from "./regions";

/** Unix milliseconds from the first to the last painted column of each window; null where there is no chart. */
export function regionsOf(panelId: number): [number, number][] | null {
  const chart = chartOf(panelId);
  if (!chart) return null;
  const { left, top, width, height } = chart.bbox;
  const strip = chart.ctx.getImageData(left, top + height + STRIP_PX / 2, width, 1).data;
  const shade = chart.ctx.getImageData(left, top + 1, width, height - 2).data;
  const painted = Array.from({ length: width }, (_, x) => isOrange(strip, 4 * x) && isShaded(shade, x, width));
  const at = (x: number) => chart.posToVal(left + x, "x", true);
  return runs(painted).map(([from, to]) => [at(from), at(to)]);
}

/** The strip's colour is full, so its hue can be judged. */
function isOrange(pixels: Uint8ClampedArray, offset: number): boolean {
  const [red, green, blue, alpha] = pixels.subarray(offset, offset + 4);
  return alpha === 255 && red! > green! + 40 && green! > blue! + 40;
}

/** No pixel of the column is blank. */
function isShaded(pixels: Uint8ClampedArray, x: number, width: number): boolean {
  for (let offset = 4 * x + 3; offset < pixels.length; offset += 4 * width) if (pixels[offset] === 0) return false;
  return true;
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
