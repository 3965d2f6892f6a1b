// Draws the charts of the embedded data with uPlot. Everything a chart says is also in the tables: this file only pictures it.
"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const { clock, charts } = read("charts");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  const GUTTER = 66, EDGE = 14, LABEL = 16, PHASE = 18;
  const WHOLE = [1, 2, 5].flatMap((one) => [...Array(7).keys()].map((power) => one * 10 ** power)).sort((a, b) => a - b);
  const ratio = () => window.devicePixelRatio || 1;

  const number = (value) => {
    if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
    return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
  };
  const seconds = (value) => (value < 1 ? `${number(value * 1000)} ms` : `${number(value)} s`);
  const percent = (value) => `${number(value * 100)} %`;
  const format = (chart) => ({ s: seconds, share: percent }[chart.unit] || ((value) => (chart.suffix ? `${number(value)} ${chart.suffix}` : number(value))));

  // Bars of a stack reach from zero to their running total, so the highest total is drawn first.
  const totals = (series) => {
    let below = series[0].values.map(() => 0);
    return series.map(({ values }) => (below = values.map((value, i) => value + below[i])));
  };
  const finite = (values) => values.map((value) => (value === "inf" ? null : value));
  const drawn = (chart) => (chart.kind === "stack" ? totals(chart.series).reverse() : chart.series.map((one) => finite(one.values)));

  const pen = (ctx, size, weight = "") => {
    ctx.font = `${weight} ${size * ratio()}px ${FONT}`;
    ctx.textBaseline = "middle";
    return ctx;
  };
  const ruler = document.createElement("canvas").getContext("2d");
  const across = (u, at) => u.valToPos(at, "x", true);
  const clipped = (u, from, to) => {
    const { left, width } = u.bbox;
    return [Math.max(left, across(u, from)), Math.min(left + width, across(u, to))];
  };

  // Labels sit above the plot; one that would touch its right neighbour goes one row higher.
  const layLabels = (inner, { min, max } = {}) => {
    const [from, to] = min == null ? [clock.start_s, clock.end_s] : [min, max];
    const marks = clock.marks.filter(({ at_s }) => at_s >= from && at_s <= to).map((mark) => {
      const x = ((mark.at_s - from) / (to - from)) * inner;
      const width = pen(ruler, 11, "600").measureText(mark.label).width / ratio() + 16;
      // At the right edge the label hangs on the left of its line.
      const flipped = x + width > inner + EDGE;
      const left = flipped ? x + 10 - width : x - 1;
      return { ...mark, x, flipped, left, right: left + width, row: 0 };
    });
    marks.sort((a, b) => b.at_s - a.at_s).forEach((mark, i) => {
      const touching = marks.slice(0, i).filter((other) => other.left < mark.right && mark.left < other.right);
      while (touching.some(({ row }) => row === mark.row)) mark.row += 1;
    });
    return marks;
  };
  const headroom = (width) => {
    const rows = layLabels(width - GUTTER - EDGE).map(({ row }) => row + 1);
    return PHASE + LABEL * Math.max(0, ...rows) + 4;
  };
  const height = (chart, width) => 164 + chart.extra_px + headroom(width);

  const drawGround = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    for (const { name, start_s, end_s } of clock.phases) {
      const [from, to] = clipped(u, start_s, end_s);
      if (to <= from) continue;
      const top = bbox.top - PHASE * ratio();
      ctx.fillStyle = name === "fault" ? colour("fault-tint") : ["warm-up", "drain"].includes(name) ? colour("warmup-tint") : "transparent";
      ctx.fillRect(from, top, to - from, bbox.height + PHASE * ratio());
      ctx.fillStyle = colour("line");
      ctx.fillRect(to - ratio() / 2, top, ratio(), bbox.height + PHASE * ratio());
      pen(ctx, 10.5).fillStyle = colour("soft");
      ctx.textAlign = "center";
      if (ctx.measureText(name).width + 4 * ratio() < to - from) ctx.fillText(name, (from + to) / 2, top + (PHASE / 2) * ratio());
    }
    ctx.restore();
  };

  const drawMarks = (u) => {
    const { ctx, bbox } = u;
    const marks = layLabels(bbox.width / ratio(), u.scales.x);
    ctx.save();
    const rowTop = ({ row }) => bbox.top - (PHASE + LABEL * (row + 1)) * ratio();
    for (const mark of marks) {
      ctx.strokeStyle = colour(`c-${mark.colour}`);
      ctx.lineWidth = 1.5 * ratio();
      ctx.setLineDash(mark.dashed ? [5 * ratio(), 4 * ratio()] : []);
      ctx.beginPath();
      // The line leaves out the strip of phase names.
      for (const [from, to] of [[rowTop(mark), bbox.top - PHASE * ratio()], [bbox.top, bbox.top + bbox.height]]) {
        ctx.moveTo(across(u, mark.at_s), from);
        ctx.lineTo(across(u, mark.at_s), to);
      }
      ctx.stroke();
    }
    pen(ctx, 11, "600");
    for (const mark of marks) {
      const top = rowTop(mark), flag = bbox.left + (mark.x - 1) * ratio();
      ctx.fillStyle = colour("card");
      ctx.fillRect(bbox.left + mark.left * ratio(), top, (mark.right - mark.left - 8) * ratio(), (LABEL - 1) * ratio());
      ctx.fillStyle = colour(`c-${mark.colour}`);
      ctx.fillRect(flag, top, 3 * ratio(), (LABEL - 1) * ratio());
      ctx.textAlign = mark.flipped ? "right" : "left";
      ctx.fillText(mark.label, flag + (mark.flipped ? -4 : 6) * ratio(), top + (LABEL / 2) * ratio());
    }
    ctx.restore();
  };

  const drawBound = (chart) => (u) => {
    if (!chart.bound) return;
    const { ctx, bbox } = u;
    const y = u.valToPos(chart.bound.value, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("ink");
    ctx.lineWidth = ratio();
    ctx.setLineDash([2 * ratio(), 3 * ratio()]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    pen(ctx, 11).textAlign = "left";
    ctx.fillText(chart.bound.label, bbox.left + 6 * ratio(), y - 8 * ratio());
    ctx.restore();
  };

  // Infinity has no height: it is a gap in its line and a bar along the top edge, one row for each series.
  const drawInfinite = (chart) => (u) => {
    const { ctx, bbox } = u;
    const step = chart.bin_s || 1;
    let row = 0, last = null;
    ctx.save();
    for (const one of [...chart.series].reverse()) {
      const spans = chart.x.filter((_, i) => one.values[i] === "inf").map((x) => clipped(u, x - step / 2, x + step / 2)).filter(([from, to]) => to > from);
      if (!spans.length) continue;
      const y = bbox.top + (4 + row * 6) * ratio();
      ctx.fillStyle = colour(`c-${one.colour}`);
      spans.forEach(([from, to]) => ctx.fillRect(from, y, to - from, 4 * ratio()));
      if (row === 0) last = [spans[0][0], spans.at(-1)[1], one];
      row += 1;
    }
    if (last) {
      const [from, to, one] = last;
      const text = `${one.label} = inf: failures`;
      const width = pen(ctx, 11, "600").measureText(text).width + 8 * ratio();
      const right = to + 4 * ratio();
      const left = right + width < bbox.left + bbox.width ? right : Math.max(bbox.left, from - width - 4 * ratio());
      ctx.fillStyle = colour("card");
      ctx.fillRect(left, bbox.top + 2 * ratio(), width, 14 * ratio());
      ctx.fillStyle = colour(`c-${one.colour}`);
      ctx.textAlign = "left";
      ctx.fillText(text, left + 4 * ratio(), bbox.top + 9 * ratio());
    }
    ctx.restore();
  };

  const inOrder = (chart) => (chart.kind === "stack" ? [...chart.series].reverse() : chart.series);
  const seriesOf = (chart) => inOrder(chart).map((one) => {
    const shape = { step: uPlot.paths.stepped({ align: 1 }), bar: uPlot.paths.bars({ size: [0.9, 100], align: 1 }) }[one.style];
    const tint = { area: colour("area-tint"), bar: colour(`c-${one.colour}`) }[one.fill || one.style];
    return {
      label: one.label, stroke: colour(`c-${one.colour}`), width: one.style === "bar" ? 0 : 2, dash: one.dashed ? [6, 4] : undefined,
      fill: tint, paths: shape, points: { show: one.style === "line" ? undefined : false, size: 5 },
      value: (u, _, si, at) => {
        if (at == null) return "";
        const value = one.values[at];
        return value == null ? "none" : value === "inf" ? "inf" : format(chart)(value);
      },
    };
  });

  const optionsOf = (chart, width) => {
    const axis = { stroke: colour("soft"), font: `11px ${FONT}`, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    const say = format(chart);
    const logarithmic = chart.scale === "log";
    return {
      width, height: height(chart, width), class: "idle",
      padding: [(u) => headroom(u.width), EDGE, 0, 0],
      cursor: { sync: { key: "run-clock", scales: ["x", null] }, drag: { x: true, y: false }, y: false, points: { size: 7 }, ...(chart.series[0].style === "line" ? {} : { dataIdx: stepAt }) },
      scales: {
        x: { time: false },
        y: { distr: logarithmic ? 3 : 1, range: () => chart.range },
      },
      axes: [
        { ...axis, size: 30, space: 56, values: (u, ticks) => ticks.map((tick) => `${number(tick)} s`) },
        { ...axis, size: GUTTER, space: 28, incrs: chart.unit === "count" ? WHOLE : undefined, values: (u, ticks) => ticks.map((tick) => (tick == null ? "" : say(tick))) },
      ],
      series: [{ label: "run clock", value: (u, value) => (value == null ? "" : `${number(value)} s`) }, ...seriesOf(chart)],
      hooks: { drawClear: [drawGround], draw: [drawBound(chart), drawMarks, drawInfinite(chart), countPoints], setCursor: [moveLanes, hideIdle], setScale: [zoomLanes] },
    };
  };
  // A step holds until the next one: what counts is the last value before the cursor, not the nearest.
  const stepAt = (u, series, nearest, at) => (u.data[0][nearest] > at ? Math.max(0, nearest - 1) : nearest);
  const countPoints = (u) => {
    u.root.parentElement.dataset.drawn = u.data.slice(1).reduce((sum, values) => sum + values.filter((value) => value != null).length, 0);
  };

  const hideIdle = (u) => u.root.classList.toggle("idle", u.cursor.left < 0);

  // The lanes below follow the cursor and the zoom of the charts.
  const lanes = document.getElementById("lane-plot");
  const moveLanes = (u) => {
    const cursor = document.getElementById("lane-cursor");
    if (!cursor) return;
    const { left } = u.cursor;
    const at = left >= 0 ? (u.posToVal(left, "x") - clock.start_s) / (clock.end_s - clock.start_s) : -1;
    cursor.setAttribute("x1", `${at * 100}%`);
    cursor.setAttribute("x2", `${at * 100}%`);
  };
  const zoomLanes = (u, key) => {
    const { min, max } = u.scales.x;
    if (!lanes || key !== "x" || min == null || max <= min) return;
    const whole = clock.end_s - clock.start_s;
    lanes.setAttribute("x", `${(-100 * (min - clock.start_s)) / (max - min)}%`);
    lanes.setAttribute("width", `${(100 * whole) / (max - min)}%`);
  };

  let plots = [];
  const draw = () => {
    plots.forEach((plot) => plot.destroy());
    plots = charts.map((chart) => {
      const place = document.getElementById(`chart-${chart.id}`);
      return new uPlot(optionsOf(chart, place.clientWidth), [chart.x, ...drawn(chart)], place);
    });
  };
  draw();
  new ResizeObserver(() => plots.forEach((plot, i) => {
    const width = plot.root.parentElement.clientWidth;
    if (width && width !== plot.width) plot.setSize({ width, height: height(charts[i], width) });
  })).observe(document.querySelector("main"));
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", draw);
  document.documentElement.dataset.charts = plots.length;
})();
